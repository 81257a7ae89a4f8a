/** `repo/stat` and `repo/gc` over the Kubos of all peers: sums, and one stream of what each of them removes. */
import type { Log } from '../../src/log.ts'
import type { Collected, PeerId } from '../../src/types.ts'
import { goJson, xmlText } from './answer.ts'
import { type Asked, failure } from './asked.ts'

/** What the other peers may take at least, and in relation to the Kubo behind this door: a hanging Kubo must not hold the sum. */
const patienceMs = 5_000
const patienceFactor = 3
/** Kubo's "no limit"; a sum of them is no more. */
const most = 2n ** 64n - 1n
/** Failures of a collection are told as one, up to here. */
const failuresMax = 100

interface Sums {
  readonly RepoSize: bigint
  readonly StorageMax: bigint
  readonly NumObjects: bigint
}

/**
 * Sizes and objects are sums over the peers that answer in time, and a header names the others; path and version are those of the Kubo behind this
 * door.
 */
export async function repositorySize(asked: Asked & { readonly log: Log }): Promise<void> {
  const { api, call, kubo, answer, signal, log } = asked
  const sizeOnly = call.flag('size-only', false)
  const startMs = performance.now()
  const own = await kubo.text('repo/stat', { 'size-only': String(sizeOnly) }, signal)
  // As text: a number of JavaScript's cannot hold 2^64 - 1.
  const figure = (name: keyof Sums) => BigInt(new RegExp(`"${name}":(\\d{1,20})[,}]`).exec(own)?.[1] ?? 0)
  const sums = { RepoSize: figure('RepoSize'), StorageMax: figure('StorageMax'), NumObjects: figure('NumObjects') }
  const limitMs = Math.max(patienceMs, Math.ceil(patienceFactor * (performance.now() - startMs)))
  const missing: PeerId[] = []
  for await (const { peer, repoBytes, maxBytes, objects, error } of api.repositories({ which: 'others', sizeOnly, limitMs, signal })) {
    if (error !== '') {
      log.warn({ peer, reason: error }, 'the repository of a peer is missing in a sum')
      missing.push(peer)
    }
    sums.RepoSize = sum(sums.RepoSize, repoBytes)
    sums.StorageMax = sum(sums.StorageMax, maxBytes)
    sums.NumObjects = sum(sums.NumObjects, objects)
  }
  const { RepoPath = '', Version = '' } = JSON.parse(own) as { RepoPath?: string; Version?: string }
  if (missing.length > 0) answer.addHeader(['X-Flotilla-Missing', missing.join(', ')])
  await answer.write(sizeText(asked, sums, { RepoPath, Version }, sizeOnly))
  answer.end()
}

function sum(a: bigint, b: bigint): bigint {
  return a + b > most ? most : a + b
}

function sizeText({ call }: Asked, sums: Sums, words: { readonly RepoPath: string; readonly Version: string }, sizeOnly: boolean): string {
  const { RepoSize, StorageMax, NumObjects } = sums
  const { RepoPath, Version } = words
  switch (call.format) {
    case 'json':
      return `{"RepoSize":${RepoSize},"StorageMax":${StorageMax},"NumObjects":${NumObjects},${goJson(words).slice(1)}`
    case 'xml': {
      const fields = Object.entries({ RepoSize, StorageMax, NumObjects, RepoPath, Version })
      return `<Stat>${fields.map(([name, value]) => `<${name}>${xmlText(String(value))}</${name}>`).join('')}</Stat>`
    }
    case 'text': {
      const size = (bytes: bigint) => (call.flag('human', false) ? humanSize(bytes) : String(bytes))
      const sizes = `RepoSize:   ${size(RepoSize)}\nStorageMax: ${size(StorageMax)}\n`
      return sizeOnly ? sizes : `NumObjects: ${NumObjects}\n${sizes}RepoPath:   ${RepoPath}\nVersion:    ${Version}\n`
    }
  }
}

/** As Kubo shows sizes to people: two digits at most behind which a unit stands. */
export function humanSize(bytes: bigint): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB']
  if (bytes < 10n) return `${bytes} B`
  let step = 0
  let value = Number(bytes)
  for (; value >= 1_000 && step < units.length - 1; step++) value /= 1_000
  const rounded = Math.floor(value * 10 + 0.5) / 10
  return `${rounded < 10 ? rounded.toFixed(1) : rounded.toFixed(0)} ${units[step]}`
}

/** What all of them remove, as they remove it. A peer that fails stops nothing: what went wrong is told at the end. */
export async function collectGarbage(asked: Asked & { readonly self: PeerId }): Promise<void> {
  const { api, call, answer, signal, self } = asked
  const isToldAtOnce = call.flag('stream-errors', false)
  const failures: string[] = []
  let isElsewhere = false
  for await (const item of api.collectGarbage({ signal })) {
    if (item.cid === null) {
      const error = item.peer === self ? item.error : `${item.peer}: ${item.error}`
      isElsewhere ||= item.peer !== self
      if (failures.length < failuresMax) failures.push(error)
      if (isToldAtOnce) await answer.write(collectedText(asked, { ...item, error }))
    } else if (isToldAtOnce || !call.flag('silent', false)) await answer.write(collectedText(asked, item))
  }
  // The Kubo behind this door has done its part: the others' failures are no failure of the whole.
  if (isElsewhere) answer.begin()
  if (failures.length > 0) throw failure(isToldAtOnce ? 'encountered errors during gc run' : failures.join('; '))
  answer.end()
}

function collectedText({ call }: Asked, { cid, error }: Collected): string {
  switch (call.format) {
    case 'json':
      return goJson({ Key: cid === null ? null : { '/': cid }, ...(error === '' ? {} : { Error: error }) })
    case 'xml':
      return `<GcResult><Key>${cid ?? ''}</Key><Error>${xmlText(error)}</Error></GcResult>`
    case 'text':
      if (call.flag('silent', false)) return ''
      return cid === null ? `Error: ${error}\n` : `${call.flag('quiet', false) ? '' : 'removed '}${cid}\n`
  }
}
