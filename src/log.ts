/** Structured logs: an event name and fields, no prose to parse, no secrets. */
import { type DestinationStream, type Logger, pino } from 'pino'

/** The part of pino that the rooms use. */
export type Log = Pick<Logger, 'debug' | 'info' | 'warn' | 'error' | 'fatal'> & { child(bindings: object): Log }

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent'

/** Fields that never reach a line, wherever an object with them is logged. */
const secrets = [
  'secret',
  'private_key',
  'privateKey',
  'authorization',
  '*.secret',
  '*.private_key',
  '*.privateKey',
  '*.authorization',
  'req.headers.authorization',
  'req.headers.cookie'
]

export function openLog(options: { level: LogLevel; name: string }, destination?: DestinationStream): Logger {
  const settings = {
    level: options.level,
    name: options.name,
    redact: { paths: secrets, censor: '[redacted]' },
    timestamp: pino.stdTimeFunctions.isoTime
  }
  return destination ? pino(settings, destination) : pino(settings)
}
