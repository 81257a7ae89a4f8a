/**
 * What the door takes for a request is what Kubo takes for one: random streams are sent to both. Where one of them read another request than the other,
 * the answers would not be the same in number and status; and where a call of the cluster's got past the door unseen, Kubo's own list would show.
 */
import assert from 'node:assert/strict'
import { connect, type Socket } from 'node:net'
import { after, before, describe, test } from 'node:test'
import fc from 'fast-check'
import { until } from '../../support/until.ts'
import { WireAnswers } from '../../support/wire-answer.ts'
import { listings, streams } from './odd-requests.ts'
import { startTwins, type Twins } from './twins.ts'

/** Each run is some streams at once. The README says how to have more. */
const numRuns = Number(process.env.DOOR_FUZZ_RUNS ?? 250)
/** The same requests every time, so that what fails is what was changed; other seeds are for whoever looks for more. */
const seed = Number(process.env.DOOR_FUZZ_SEED ?? 1)
const atOnce = 8
/** A side that says nothing for so long waits for more. */
const quietMs = 250
/** The two agree by then, or they never do. */
const agreedMs = 5_000

/** Behind everything else: an answer to it shows where the stream was understood to its end. */
const sentinel = 'OPTIONS /api/v0/version HTTP/1.1\r\nHost: sentinel\r\nConnection: close\r\n\r\n'

interface Stream {
  readonly text: string
  readonly cuts: readonly number[]
}

describe('the door reads requests as Kubo reads them', () => {
  let twins: Twins
  /** Pinned at the Kubos themselves, and in no list of the cluster's. */
  let mark: string
  before(async () => {
    twins = await startTwins()
    mark = twins.content.small
    for (const kubo of [twins.plain, twins.behind]) await kubo.call(`pin/add?arg=${mark}&recursive=false`)
  })
  after(() => twins?.[Symbol.asyncDispose]())

  async function compare({ text, cuts }: Stream): Promise<void> {
    const bytes = Buffer.from(text + sentinel, 'latin1')
    using kubo = new Reading(twins.plain.rpc, bytes, cuts)
    using door = new Reading(twins.daemon.port, bytes, cuts)
    await until('both come to the same', () => kubo.isQuiet && door.isQuiet && kubo.outcome === door.outcome, agreedMs).catch(() => {
      assert.equal(door.outcome, kubo.outcome, JSON.stringify(text))
    })
    assert.ok(!door.said.includes(mark), `a list of the cluster's came from Kubo: ${JSON.stringify(text)}`)
  }

  async function hold(some: fc.Arbitrary<Stream>): Promise<void> {
    const property = fc.asyncProperty(fc.array(some, { minLength: 1, maxLength: atOnce, size: 'max' }), async streams => {
      await Promise.all(streams.map(compare))
    })
    await fc.assert(property, { numRuns, seed, endOnFailure: true })
  }

  test('the mark is what tells the lists apart', async () => {
    const bytes = Buffer.from(`POST /api/v0/pin/ls?type=direct HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n${sentinel}`)
    for (const port of [twins.plain.rpc, twins.behind.rpc]) {
      using kubo = new Reading(port, bytes, [])
      await until('Kubo lists it', () => kubo.isOver && kubo.said.includes(mark))
    }
  })

  test('valid and broken requests, in pieces', () => hold(streams))

  test('ways to write a call', () => hold(listings.map(text => ({ text, cuts: [] }))))
})

/** One stream as one side answers it. */
class Reading implements Disposable {
  readonly #answers = new WireAnswers()
  readonly #socket: Socket
  #lastMs = performance.now()
  isOver = false

  constructor(port: number, bytes: Buffer, cuts: readonly number[]) {
    this.#socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
    this.#socket.on('data', part => {
      this.#answers.push(part)
      this.#lastMs = performance.now()
    })
    const over = () => {
      if (!this.isOver) this.#answers.end()
      this.isOver = true
    }
    for (const event of ['end', 'close', 'error'] as const) this.#socket.on(event, over)
    let from = 0
    for (const cut of [...cuts.map(cut => cut % bytes.length), bytes.length].sort((left, right) => left - right)) {
      this.#socket.write(bytes.subarray(from, cut))
      from = cut
    }
  }

  get isQuiet(): boolean {
    return this.isOver || performance.now() - this.#lastMs > quietMs
  }

  /** The statuses in order, and whether the connection is over. For which of its faults a head is refused is all the same. */
  get outcome(): string {
    const statuses = this.#answers.answers.map(({ statusLine }) => statusLine.split(' ')[1])
    return `${statuses.join(' ')}${this.isOver ? ' closed' : ' waiting'}`.replace(/(400|431|501|505) closed$/, 'refused')
  }

  get said(): string {
    return this.#answers.answers.map(({ body }) => body.toString('latin1')).join('')
  }

  [Symbol.dispose](): void {
    this.#socket.destroy()
  }
}
