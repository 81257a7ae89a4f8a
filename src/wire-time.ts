/** Times on the wire: RFC 3339 as Go writes it, where the zero time of year 1 stands for "never" and "not known". */

/** Go's zero time. @see https://pkg.go.dev/time#Time.IsZero */
const zeroTime = '0001-01-01T00:00:00Z'
const zeroMs = Date.parse(zeroTime)

/** The last instant that RFC 3339 can write, in Unix milliseconds. */
export const lastMs = Date.parse('9999-12-31T23:59:59.999Z')

/** Unix milliseconds as RFC 3339 in UTC, without a fraction where there is none; `null` is the zero time. */
export function formatTime(ms: number | null): string {
  if (ms === null) return zeroTime
  const text = new Date(ms).toISOString()
  return text.endsWith('.000Z') ? `${text.slice(0, -5)}Z` : text
}

const rfc3339 = /^(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)([.,]\d+)?([Zz]|[+-]\d\d:\d\d)$/

/**
 * Unix milliseconds of an RFC 3339 text with any offset and any number of decimals (more than three are cut off); `null` for the zero time,
 * whatever its offset; `undefined` for text that is none.
 */
export function parseTime(text: string): number | null | undefined {
  const match = rfc3339.exec(text)
  if (match === null) return undefined
  const [, year, month, day = '', hour] = match
  // Date.parse lets the 30th of February and the hour 24 roll over into the next day. Most days are in every month, and this is asked for every pin.
  if (hour === '24' || (day > '28' && Number(day) > daysIn(Number(year), Number(month)))) return undefined
  const ms = Date.parse(text.toUpperCase().replace(',', '.'))
  if (Number.isNaN(ms)) return undefined
  return ms === zeroMs ? null : ms
}

function daysIn(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31
}
