/** Compares what two sides sent, field by field. Nothing is mended: header order and case, chunks, trailers, the fate of the connection. */
import type { Recording } from '../../support/wire.ts'
import type { WireAnswer } from '../../support/wire-answer.ts'
import type { Varies } from './case.ts'

export interface Difference {
  /** Such as `status`, `header Server`, `header order`, `trailers`, `body`, `chunks`, `answers`, `interim`, `end`. */
  readonly field: string
  readonly kubo: string
  readonly door: string
}

/** What differs between two Kubos only because they are two: ports, folders. Each becomes the same word on both sides. */
export interface Side {
  readonly recording: Recording
  readonly own: readonly (readonly [text: string, word: string])[]
}

export function compare(kubo: Side, door: Side, varies: readonly Varies[] = []): readonly Difference[] {
  const found: Difference[] = []
  const differ = (field: string, left: string, right: string) => {
    if (left !== right) found.push({ field, kubo: left, door: right })
  }
  const [left, right] = [kubo.recording, door.recording]
  const isTimed = varies.includes('connection')
  differ('answers', String(left.answers.length), String(right.answers.length))
  differ('interim', left.interim.join('|'), right.interim.join('|'))
  if (!isTimed) differ('end', left.end, right.end)
  differ('rest', plain(left.rest, kubo), plain(right.rest, door))
  for (const [number, answer] of left.answers.entries()) {
    const other = right.answers[number]
    if (other === undefined) break
    differ('status', answer.statusLine, other.statusLine)
    differ('complete', String(answer.isComplete), String(other.isComplete))
    headers(answer, other)
    differ('trailers', pairs(answer.trailers, kubo), pairs(other.trailers, door))
    if (!varies.includes('body')) {
      const lines = (text: string) => (varies.includes('lines') ? sorted(text) : text)
      differ('body', lines(plain(answer.body, kubo)), lines(plain(other.body, door)))
    }
    if (!varies.includes('chunks') && !varies.includes('body')) differ('chunks', String(answer.chunks), String(other.chunks))
  }
  return found

  function headers(answer: WireAnswer, other: WireAnswer): void {
    const ignored = (name: string) => isTimed && name.toLowerCase() === 'connection'
    const names = (of: WireAnswer) => of.headers.map(([name]) => name).filter(name => !ignored(name))
    const missing = names(answer).filter(name => !names(other).includes(name))
    const added = names(other).filter(name => !names(answer).includes(name))
    for (const name of missing) differ(`header ${name}`, 'there', 'missing')
    for (const name of added) differ(`header ${name}`, 'missing', 'there')
    if (missing.length === 0 && added.length === 0) differ('header order', names(answer).join(', '), names(other).join(', '))
    for (const name of new Set(names(answer))) {
      if (missing.includes(name) || name === 'Date' || varies.includes(`header ${name}`)) continue
      const values = (of: WireAnswer, side: Side) =>
        of.headers.filter(([other]) => other === name).map(([, value]) => replaced(value, side.own))
      differ(`header ${name}`, values(answer, kubo).join(' | '), values(other, door).join(' | '))
    }
  }
}

function pairs(list: readonly (readonly [string, string])[], side: Side): string {
  return list.map(([name, value]) => `${name}: ${replaced(value, side.own)}`).join('\n')
}

function plain(bytes: Buffer, side: Side): string {
  return replaced(bytes.toString('latin1'), side.own)
}

/** Each text becomes its word; a port only where it is the whole number. The size on disk counts the journals of Kubo's databases, and is never the same twice. */
export function replaced(text: string, own: Side['own']): string {
  const done = own.reduce(
    (done, [mine, word]) =>
      /^\d+$/.test(mine) ? done.replace(new RegExp(`(?<!\\d)${mine}(?!\\d)`, 'g'), word) : done.replaceAll(mine, word),
    text
  )
  return done.replace(/(\bRepoSize\W{1,6})\d+n?/gi, '$1{size}')
}

/** Lines, or the members of one JSON object on a line, whatever their order. */
function sorted(text: string): string {
  return text
    .split(/\n|(?<=[}"]),(?=["{])/)
    .map(part => part.replace(/^\{"Keys":\{|[{}]+$/g, ''))
    .sort()
    .join('\n')
}
