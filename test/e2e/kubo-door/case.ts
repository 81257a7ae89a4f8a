/** One request of the differential suite, and the content that both Kubos hold before it starts. */
import type { TestKubo } from '../../support/kubo.ts'
import type { Exchange } from '../../support/wire.ts'

/**
 * What Kubo itself does not do the same way twice: `connection` header and fate, number of `chunks`, order of `lines`, the text of the
 * `body`, one header's value.
 */
export type Varies = 'connection' | 'chunks' | 'lines' | 'body' | `header ${string}`

export interface Case extends Exchange {
  readonly title: string
  /** The facts it holds; every one of `coverage.ts` is held by some case. */
  readonly covers: readonly string[]
  readonly varies?: readonly Varies[] | undefined
}

export interface Content {
  /** Twelve bytes, as CIDv0 and CIDv1. */
  readonly small: string
  readonly smallV1: string
  /** A file of 600 KiB in three leaves. */
  readonly large: string
  /** A folder with `a`, `b <&>.txt` and `inner/c`. */
  readonly folder: string
  /** A file of which the third leaf is missing. */
  readonly broken: string
  /** A dag-cbor node. */
  readonly node: string
  /** CAR files of the folder and of the node. */
  readonly cars: readonly [Buffer, Buffer]
  /** Single blocks, for cases that need something of their own. */
  readonly blocks: readonly string[]
}

/** Nobody has it. */
export const nowhere = 'QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG'
/** The pattern is no part of a leaf's length, so that no two leaves are alike. */
const largeBytes = Buffer.alloc(600 << 10, 'flotilla '.repeat(997))

interface Added {
  readonly Name: string
  readonly Hash: string
}

/** Every new repository has it pinned: the empty folder. The cluster never agreed to it, so that its lists would lack it. */
export const firstPin = 'QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn'

/** Puts the same content into a Kubo, and nothing is pinned then. */
export async function fill(kubo: TestKubo): Promise<Content> {
  const add = async (options: string, ...files: readonly (readonly [name: string, content: string | Buffer<ArrayBuffer>])[]) => {
    const form = new FormData()
    for (const [name, content] of files) form.append('file', new Blob([content]), encodeURIComponent(name))
    const { status, text } = await kubo.call(`add?pin=false&${options}`, form)
    if (status !== 200) throw new Error(`add answered ${status}: ${text}`)
    const added = text.trim().split('\n')
    return added.map(line => JSON.parse(line) as Added)
  }
  await kubo.call(`pin/rm?arg=${firstPin}`)
  const last = (added: readonly Added[]) => added.at(-1)?.Hash ?? ''
  const small = last(await add('', ['small', 'hello there\n']))
  const smallV1 = last(await add('cid-version=1', ['small', 'hello there\n']))
  const large = last(await add('', ['large', largeBytes]))
  const folder = last(await add('wrap-with-directory=true', ['a', 'file a'], ['b <&>.txt', 'file b'], ['inner/c', 'file c']))
  const broken = last(await add('', ['broken', Buffer.concat([largeBytes, Buffer.from('broken')])]))
  const { text } = await kubo.call(`refs?arg=${broken}`)
  const leaves = text.trim().split('\n')
  const leaf = (JSON.parse(leaves[2] ?? '') as { Ref: string }).Ref
  await kubo.call(`block/rm?arg=${leaf}`)
  const form = new FormData()
  form.append('file', new Blob(['{"list":[1,2,3],"text":"<&>\u2028"}']))
  const put = await kubo.call('dag/put?pin=false', form)
  const node = (JSON.parse(put.text) as { Cid: { '/': string } }).Cid['/']
  const blocks = (await add('', ...Array.from({ length: 60 }, (_, number) => [`block-${number}`, `block ${number}`] as const))).map(
    ({ Hash }) => Hash
  )
  return { small, smallV1, large, folder, broken, node, blocks, cars: [await carOf(kubo, folder), await carOf(kubo, node)] }
}

/** A CAR file with one root. */
async function carOf(kubo: TestKubo, root: string): Promise<Buffer> {
  const answer = await fetch(`${kubo.url}/api/v0/dag/export?arg=${root}`, { method: 'POST' })
  return Buffer.from(await answer.arrayBuffer())
}
