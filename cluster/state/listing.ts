/** Lists of pins by name and by time: along the secondary keys, so that what is not asked for is not read. */
import { cidBytes } from '../../src/codec.ts'
import { ClusterError } from '../../src/errors.ts'
import type { Cid, Pin, PinFilter } from '../../src/types.ts'
import { byName, byNamePrefix, byTime, cidOfNameKey, cidOfTimeKey, pinKey } from './pin-rows.ts'
import { decodePin } from './record.ts'
import type { Range, Rows } from './store.ts'

/** Pins that are read at a time. */
const pageMax = 100

/** Whether the filter asks for an order of its own; without one the pins are listed by CID. */
export function isOrdered({ name, namePrefix, after, before, order }: PinFilter): boolean {
  return [name, namePrefix, after, before, order].some(wish => wish !== undefined)
}

/**
 * Pins as the filter wants them, in its order. The keys are of one moment; a pin that was changed since is shown as it is now, if it still fits.
 * @throws ClusterError `invalid` where the filter contradicts itself
 */
export async function* listed(rows: Rows, filter: PinFilter): AsyncGenerator<Pin, void, undefined> {
  const { range, cidOf } = pathOf(filter)
  let page: Cid[] = []
  for await (const [row] of rows.rows(range, { reverse: filter.order === 'newest' })) {
    page.push(cidOf(row))
    if (page.length < pageMax) continue
    yield* await fitting(rows, page, filter)
    page = []
  }
  yield* await fitting(rows, page, filter)
}

function pathOf(filter: PinFilter): { readonly range: Range; readonly cidOf: (row: Uint8Array) => Cid } {
  const { name, namePrefix, order } = filter
  if (name !== undefined && namePrefix !== undefined) throw invalid('ask for a name or for the beginning of one, not for both')
  if (namePrefix !== undefined && order !== undefined) throw invalid('pins by the beginning of their names come in the order of names')
  if (name === '') throw invalid('a name to ask for has at least one character')
  if (name !== undefined) return { range: byName(name, filter), cidOf: cidOfNameKey }
  if (namePrefix !== undefined) return { range: byNamePrefix(namePrefix), cidOf: cidOfNameKey }
  return { range: byTime(filter), cidOf: cidOfTimeKey }
}

async function fitting(rows: Rows, cids: readonly Cid[], filter: PinFilter): Promise<Pin[]> {
  const values = await Promise.all(cids.map(cid => rows.get(pinKey(cidBytes(cid)))))
  return values.flatMap((value, position) => {
    const cid = cids[position]
    const pin = value && cid && decodePin(cid, value)
    return pin && fits(pin, filter) ? [pin] : []
  })
}

/** Whether a pin is among those asked for, but for their number. */
export function fits(pin: Pin, { types, name, namePrefix, after, before }: PinFilter): boolean {
  return (
    (types?.includes(pin.type) ?? true) &&
    (name === undefined || pin.name === name) &&
    (namePrefix === undefined || (pin.name !== '' && pin.name.startsWith(namePrefix))) &&
    (after === undefined || pin.timestamp >= after) &&
    (before === undefined || pin.timestamp <= before)
  )
}

function invalid(message: string): ClusterError {
  return new ClusterError({ code: 'invalid' }, message)
}
