/**
 * The agent of undici without the rest of it (fetch, caches, mocks), which nobody here uses: half the time that every command spends on loading,
 * and 12 MiB of every peer. The paths are not ones that undici documents; its version is exact, and where they end nothing starts.
 */
import request from 'undici/lib/api/api-request.js'
import Agent from 'undici/lib/dispatcher/agent.js'

// As undici itself does it when all of it is loaded.
Agent.prototype.request = request

export { Agent }
