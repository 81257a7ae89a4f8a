/** Kubo killed, frozen and started again in the middle of each kind of call. A broken answer never looks finished; afterwards all is as before. */
import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import { TestDaemon } from '../../support/daemon.ts'
import { TestKubo } from '../../support/kubo.ts'
import { testCid } from '../../support/rest.ts'
import { until } from '../../support/until.ts'
import { type Exchange, exchange, multipart, multipartType, type Recording, request } from '../../support/wire.ts'
import { type Content, fill } from './case.ts'

interface Kind {
  readonly name: string
  readonly steps: (content: Content, upload: Buffer) => Exchange['steps']
  /** The commands that run in Kubo once it is on its way. */
  readonly command: string
}

let uploads = 0
/** Never the same twice: what went wrong for one pin must not count for the next. */
function uploadOf(): Buffer {
  return multipart({ filename: 'one', content: `one ${uploads}` }, { filename: 'two', content: Buffer.alloc(200_000, `two ${uploads++}`) })
}
const half = (path: string, upload: Buffer) =>
  request(`POST /api/v0/${path}`, {
    headers: [multipartType, `Content-Length: ${upload.length}`],
    body: upload.subarray(0, upload.length - 50_000)
  })

const kinds: readonly Kind[] = [
  { name: 'a passed upload', steps: (_, upload) => [half('add?pin=false', upload)], command: 'add' },
  { name: 'a pinned upload', steps: (_, upload) => [half('add?timeout=3s', upload)], command: 'add' },
  { name: 'a pinned block', steps: (_, upload) => [half('block/put?pin=true&timeout=3s', upload)], command: 'block/put' },
  { name: 'an endless stream', steps: () => [request('POST /api/v0/stats/bw?poll=true&interval=1h')], command: 'stats/bw' },
  { name: 'a call that waits', steps: () => [request(`POST /api/v0/cat?arg=${testCid(1)}`)], command: 'cat' },
  { name: 'a broken download', steps: ({ broken }) => [request(`POST /api/v0/cat?arg=${broken}`)], command: 'cat' },
  { name: 'a pin that is fetched', steps: () => [request(`POST /api/v0/pin/add?arg=${testCid(2)}`)], command: 'pin/add' },
  { name: 'a pin with progress', steps: ({ broken }) => [request(`POST /api/v0/pin/add?arg=${broken}&progress=true`)], command: 'pin/add' }
]

describe('a Kubo that fails', () => {
  let kubo: TestKubo
  let daemon: TestDaemon
  let content: Content
  const owned = new AsyncDisposableStack()
  before(async () => {
    kubo = owned.use(await TestKubo.start())
    content = await fill(kubo)
    daemon = owned.use(await TestDaemon.start(kubo.address))
  })
  after(() => owned.disposeAsync())
  beforeEach(async () => {
    await until('the door answers', async () => isOk(await ask(request('POST /api/v0/version'))), 20_000)
  })

  const ask = (...steps: Exchange['steps']) => exchange(daemon.port, { steps }, 20_000)
  const isOk = ({ answers }: Recording) => answers[0]?.statusLine === 'HTTP/1.1 200 OK'
  const hasFailed = (recording: Recording) => {
    const [answer] = recording.answers
    const isBroken = answer === undefined || !answer.isComplete
    const saysSo = answer?.trailers.some(([name]) => name === 'X-Stream-Error') || /^HTTP\/1.1 5\d\d /.test(answer?.statusLine ?? '')
    return isBroken || saysSo
  }
  /** In an object, as a promise that is returned would be waited for. */
  async function begun(kind: Kind): Promise<{ readonly answer: Promise<Recording> }> {
    const answer = exchange(daemon.port, { steps: kind.steps(content, uploadOf()), isLeft: true }, 10_000)
    await until(`${kind.name} is on its way`, async () => (await kubo.running()).includes(kind.command))
    return { answer }
  }

  /** Kills it, and starts it again whatever comes. */
  async function whileDead(check: () => Promise<void>): Promise<void> {
    await kubo.kill()
    try {
      await check()
    } finally {
      await kubo.run()
    }
  }

  for (const kind of kinds.filter(({ command }) => command !== 'pin/add')) {
    const title = `killed during ${kind.name}: the answer is broken or an error, and the next calls work once it is back`
    test(title, async () => {
      const { answer } = await begun(kind)
      await whileDead(async () => {
        const recording = await answer
        assert.notEqual(recording.end, 'silent', 'it ends')
        assert.ok(hasFailed(recording))
        const refused = await ask(request('POST /api/v0/id'))
        assert.equal(refused.answers[0]?.statusLine, 'HTTP/1.1 502 Bad Gateway')
        assert.equal((JSON.parse(String(refused.answers[0]?.body)) as { Type: string }).Type, 'error')
      })
      assert.ok(isOk(await ask(request('POST /api/v0/version'))))
    })
  }

  for (const kind of kinds.filter(({ command }) => command === 'pin/add')) {
    test(`killed during ${kind.name}: the call ends with its timeout at the latest, as an error, and nothing stays pinned`, async () => {
      const limited = kind.steps(content, uploadOf()).map(step => Buffer.from(String(step).replace(' HTTP/1.1', '&timeout=2s HTTP/1.1')))
      const answer = exchange(daemon.port, { steps: limited, isLeft: true }, 15_000)
      await until('it is being fetched', async () => (await kubo.running()).includes(kind.command))
      await whileDead(async () => {
        const recording = await answer
        assert.notEqual(recording.end, 'silent', 'it ends')
        assert.ok(hasFailed(recording))
      })
      const cid = /arg=(\w+)/.exec(String(limited[0]))?.[1] ?? ''
      await until('the pin is gone', async () => {
        const { answers } = await ask(request('POST /api/v0/pin/ls?type=recursive'))
        return answers[0]?.isComplete && !String(answers[0].body).includes(cid)
      })
    })
  }

  for (const kind of kinds.filter(({ name }) => /passed upload|pinned upload|pinned block/.test(name))) {
    test(`frozen during ${kind.name}: the call waits, and is whole when Kubo goes on`, async () => {
      const upload = uploadOf()
      const bytes = Buffer.concat(kind.steps(content, upload).map(step => step as Buffer))
      const rest = upload.subarray(upload.length - 50_000)
      const frozen = Promise.withResolvers<void>()
      const answer = exchange(daemon.port, { steps: [bytes, { when: frozen.promise }, rest], isLeft: true }, 30_000)
      await until('Kubo has it', async () => (await kubo.running()).includes(kind.command))
      kubo.freeze()
      try {
        frozen.resolve()
        await using client = daemon.client()
        await client.overview()
      } finally {
        kubo.thaw()
      }
      const recording = await answer
      assert.ok(isOk(recording))
      assert.ok(recording.answers[0]?.isComplete)
      assert.deepEqual(recording.answers[0]?.trailers, [])
    })
  }

  test('frozen: calls that have a timeout are answered in time, in the shape of an error', async () => {
    const calls = [
      request(`POST /api/v0/pin/add?arg=${testCid(3)}&timeout=1s`),
      request(`POST /api/v0/pin/rm?arg=${testCid(3)}&timeout=1s`),
      request('POST /api/v0/add?timeout=1s', { headers: [multipartType], body: uploadOf() })
    ]
    kubo.freeze()
    try {
      for (const { answers } of await Promise.all(calls.map(call => exchange(daemon.port, { steps: [call], isLeft: true }, 4_000)))) {
        assert.match(answers[0]?.statusLine ?? 'nothing', /^HTTP\/1.1 5\d\d /)
        assert.equal((JSON.parse(String(answers[0]?.body)) as { Type: string }).Type, 'error')
      }
    } finally {
      kubo.thaw()
    }
  })

  test('started again between two calls of one connection: the second one works', async () => {
    const call = request('POST /api/v0/pin/ls?type=direct')
    const again = Promise.withResolvers<void>()
    const both = exchange(daemon.port, { answers: 2, steps: [call, { until: 'answer' }, { when: again.promise }, call] }, 20_000)
    await kubo.kill()
    await kubo.run()
    again.resolve()
    assert.deepEqual(
      (await both).answers.map(({ statusLine }) => statusLine),
      ['HTTP/1.1 200 OK', 'HTTP/1.1 200 OK']
    )
    for (let number = 0; number < 5; number++) assert.ok(isOk(await ask(request('POST /api/v0/version'))))
  })

  test('started again and again under small calls: each is answered, or refused in the shape of an error', async () => {
    let isRunning = true
    const seen = new Set<string>()
    const load = Promise.all(
      Array.from({ length: 4 }, async () => {
        while (isRunning) {
          const { answers } = await ask(request(`POST /api/v0/${seen.size % 2 === 0 ? 'version' : 'pin/ls?type=direct'}`))
          const [answer] = answers
          // A Kubo that is killed in the middle of its answer leaves one that is seen to be broken.
          const status = answer?.isComplete ? (answer.statusLine.split(' ')[1] ?? '') : 'cut'
          seen.add(status)
          if (status === '502') assert.equal((JSON.parse(String(answer?.body)) as { Type: string }).Type, 'error')
        }
      })
    )
    try {
      for (let number = 0; number < 3; number++) {
        await kubo.kill()
        await kubo.run()
      }
    } finally {
      isRunning = false
    }
    await load
    assert.deepEqual(
      [...seen].filter(status => !['200', '500', '502', 'cut'].includes(status)),
      []
    )
  })
})
