/** Cross-origin headers, by the rules that ipfs-cluster takes from rs/cors: pre-flights always get 204, permission or not. */
import type { IncomingMessage, ServerResponse } from 'node:http'

export interface CorsSettings {
  /** `*` for every origin. */
  readonly allowedOrigins: readonly string[]
  /** Cross-origin requests with other methods get no permission. */
  readonly allowedMethods: readonly string[]
  /** Beside accept, content-type and x-requested-with. */
  readonly allowedHeaders: readonly string[]
  readonly exposedHeaders: readonly string[]
  readonly allowCredentials: boolean
  /** How long a browser may remember a permission, in seconds; 0 leaves it to the browser. */
  readonly maxAgeSeconds: number
}

export const defaultCors: CorsSettings = {
  allowedOrigins: ['*'],
  allowedMethods: ['GET'],
  allowedHeaders: [],
  exposedHeaders: ['Content-Type', 'X-Stream-Output', 'X-Chunked-Output', 'X-Content-Length'],
  allowCredentials: true,
  maxAgeSeconds: 0
}

const alwaysAllowedHeaders = ['accept', 'content-type', 'x-requested-with']

/** Sets the headers of the answer. @returns whether the request is a pre-flight, which 204 ends */
export function allowOrigin(request: IncomingMessage, response: ServerResponse, settings: CorsSettings): boolean {
  const { origin } = request.headers
  const wantedMethod = request.headers['access-control-request-method']
  const isPreflight = request.method === 'OPTIONS' && wantedMethod !== undefined
  const method = isPreflight ? wantedMethod : (request.method ?? '')
  response.setHeader('Vary', isPreflight ? 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers' : 'Origin')
  const allowed = origin === undefined ? undefined : allowedOrigin(origin, settings)
  if (allowed === undefined || !settings.allowedMethods.includes(method)) return isPreflight
  if (isPreflight) {
    const wantedHeaders = request.headers['access-control-request-headers'] ?? ''
    if (!areAllowed(wantedHeaders, settings)) return true
    response.setHeader('Access-Control-Allow-Methods', method)
    if (wantedHeaders !== '') response.setHeader('Access-Control-Allow-Headers', wantedHeaders)
    if (settings.maxAgeSeconds > 0) response.setHeader('Access-Control-Max-Age', String(settings.maxAgeSeconds))
  } else if (settings.exposedHeaders.length > 0) {
    response.setHeader('Access-Control-Expose-Headers', settings.exposedHeaders.join(', '))
  }
  response.setHeader('Access-Control-Allow-Origin', allowed)
  if (settings.allowCredentials) response.setHeader('Access-Control-Allow-Credentials', 'true')
  return isPreflight
}

function allowedOrigin(origin: string, { allowedOrigins }: CorsSettings): string | undefined {
  if (allowedOrigins.includes('*')) return '*'
  return allowedOrigins.find(one => one.toLowerCase() === origin.toLowerCase()) && origin
}

function areAllowed(list: string, { allowedHeaders }: CorsSettings): boolean {
  if (allowedHeaders.includes('*')) return true
  const allowed = new Set([...alwaysAllowedHeaders, ...allowedHeaders.map(name => name.toLowerCase())])
  return list
    .split(',')
    .map(name => name.trim().toLowerCase())
    .every(name => name === '' || allowed.has(name))
}
