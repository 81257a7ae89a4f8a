/**
 * Fields of JSON that came from outside. What a Go program leaves out or writes as `null` reads as the empty value, because it does
 * either by turns; what has the wrong type is a fault that names the field.
 */
import { ClusterError, messageOf } from './errors.ts'

export type Json = Readonly<Record<string, unknown>>

/** @throws ClusterError `invalid` where `value` is not a JSON object */
export function objectOf(value: unknown, what: string): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong(what, 'an object')
  return value as Json
}

export function textField(from: Json, key: string): string {
  const value = from[key] ?? ''
  if (typeof value !== 'string') throw wrong(key, 'text')
  return value
}

export function numberField(from: Json, key: string, absent = 0): number {
  const value = from[key] ?? absent
  if (typeof value !== 'number') throw wrong(key, 'a number')
  return value
}

export function nullableNumberField(from: Json, key: string): number | null {
  return from[key] === undefined || from[key] === null ? null : numberField(from, key)
}

export function flagField(from: Json, key: string): boolean {
  const value = from[key] ?? false
  if (typeof value !== 'boolean') throw wrong(key, 'true or false')
  return value
}

/** One of a closed set; absent or unknown is `otherwise`, as newer peers may know more. */
export function choiceField<T extends string>(from: Json, key: string, choices: readonly T[], otherwise: T): T {
  const value = textField(from, key)
  return choices.find(choice => choice === value) ?? otherwise
}

/** A field whose text `parse` understands. Absent, `null` and empty are all `null`. */
export function parsedField<T>(from: Json, key: string, parse: (text: string) => T): T | null {
  const text = textField(from, key)
  return text === '' ? null : parsed(key, text, parse)
}

/** As {@link parsedField}, for what must be there. */
export function requiredField<T>(from: Json, key: string, parse: (text: string) => T): T {
  const value = parsedField(from, key, parse)
  if (value === null) throw new ClusterError({ code: 'invalid' }, `the field "${key}" is missing`)
  return value
}

export function listField<T>(from: Json, key: string, parse: (text: string) => T): readonly T[] {
  const values = from[key] ?? []
  if (!Array.isArray(values)) throw wrong(key, 'a list')
  return values.map(value => {
    if (typeof value !== 'string') throw wrong(key, 'a list of texts')
    return parsed(key, value, parse)
  })
}

/** A map from text to text. */
export function textsField(from: Json, key: string): Readonly<Record<string, string>> {
  const entries = Object.entries(objectOf(from[key] ?? {}, key))
  if (entries.some(([, value]) => typeof value !== 'string')) throw wrong(key, 'a map of texts')
  // fromEntries defines fields; assigning would lose one that is called "__proto__".
  return Object.fromEntries(entries) as Record<string, string>
}

function parsed<T>(key: string, text: string, parse: (text: string) => T): T {
  try {
    return parse(text)
  } catch (error) {
    throw new ClusterError({ code: 'invalid' }, `the field "${key}": ${messageOf(error)}`, { cause: error })
  }
}

function wrong(key: string, expected: string): ClusterError {
  return new ClusterError({ code: 'invalid' }, `the field "${key}" is not ${expected}`)
}
