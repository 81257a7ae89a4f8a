/** A value that must not be seen: whoever needs it asks for it by name, and a log line, an error or JSON shows only that it is there. */
import { inspect } from 'node:util'

const shown = '[secret]'

export class Secret<T> {
  readonly #value: T

  constructor(value: T) {
    this.#value = value
  }

  /** The value itself, for the code that uses it; not for anything that people read. */
  reveal(): T {
    return this.#value
  }

  toString(): string {
    return shown
  }

  toJSON(): string {
    return shown
  }

  [inspect.custom](): string {
    return shown
  }
}

/** The header that shows a secret of Kubo's: `bearer:<token>`, `basic:<user>:<password>`, or the header itself. */
export function authorizationOf(secret: string): string {
  const [, kind, rest = ''] = /^(bearer|basic):(.*)$/s.exec(secret) ?? []
  if (kind === 'bearer') return `Bearer ${rest}`
  return kind === 'basic' ? `Basic ${Buffer.from(rest).toString('base64')}` : secret
}
