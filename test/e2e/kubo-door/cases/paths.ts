/** Routing, arguments and options: decoded as Kubo decodes them, so that no spelling slips past the cluster. */
import { multipart, multipartType, request } from '../../../support/wire.ts'
import type { Case, Content } from '../case.ts'

export function pathCases({ small, blocks }: Content): readonly Case[] {
  const pins = (title: string, path: string, covers: readonly string[] = ['decoded before routing', 'decoded before routing']): Case[] => [
    { title, covers: [...covers, 'command pin/add'], steps: [request(`POST ${path}`)] },
    {
      title: `${title}: what is pinned then`,
      covers: [...covers, 'command pin/ls'],
      steps: [request('POST /api/v0/pin/ls?type=recursive&names=true')]
    }
  ]
  let block = 10
  const own = () => blocks[block++] ?? ''
  const option = (query: string, path = `pin/ls?arg=${small}`): Case => ({
    title: `option ${query} of ${path.split('?')[0]}`,
    covers: ['options'],
    steps: [request(`POST /api/v0/${path}&${query}`)]
  })
  return [
    ...pins('a percent-encoded slash', `/api/v0/pin%2Fadd?arg=${own()}`),
    ...pins('percent-encoded letters', `/%61pi/v0/p%69n/add?arg=${own()}`),
    ...pins('the argument as last segment', `/api/v0/pin/add/${own()}`),
    ...pins('argument in the path and in the query', `/api/v0/pin/add/${own()}?arg=${own()}`),
    ...pins('several arguments', `/api/v0/pin/add?arg=${own()}&arg=${own()}`),
    ...pins('a percent-encoded name of the argument', `/api/v0/pin/add?%61rg=${own()}`),
    ...pins('a short option', `/api/v0/pin/add?arg=${own()}&n=short&r=false`, ['options']),
    ...pins('a plus is a space', `/api/v0/pin/add?arg=${own()}&name=two+words`, ['arguments']),
    ...pins('a pair with a semicolon is dropped', `/api/v0/pin/add?arg=${own()}&name=a;b`, ['arguments']),
    ...pins('a broken escape in the query is dropped', `/api/v0/pin/add?arg=${own()}&name=%zz`, ['arguments']),
    ...pins('an unknown option is ignored', `/api/v0/pin/add?arg=${own()}&metadata=x&stream=true`, ['unknown options']),
    {
      title: 'arguments on standard input',
      covers: ['decoded before routing', 'arguments in a body', 'command pin/add'],
      steps: [request('POST /api/v0/pin/add', { headers: [multipartType], body: multipart({ content: `${own()}\r\n${own()}\n` }) })],
      varies: ['connection']
    },
    {
      title: 'arguments on standard input: what is pinned then',
      covers: ['arguments in a body'],
      steps: [request('POST /api/v0/pin/ls?type=recursive')]
    },
    {
      title: 'arguments in the query and on standard input',
      covers: ['decoded before routing', 'arguments in a body', 'command pin/add'],
      steps: [request(`POST /api/v0/pin/add?arg=${own()}`, { headers: [multipartType], body: multipart({ content: `${own()}` }) })],
      varies: ['connection']
    },
    {
      title: 'an empty line on standard input',
      covers: ['arguments in a body'],
      steps: [request('POST /api/v0/pin/add', { headers: [multipartType], body: multipart({ content: `${blocks[10]}\n\n` }) })],
      varies: ['connection']
    },
    {
      title: 'unpinned by standard input',
      covers: ['arguments in a body', 'command pin/rm'],
      steps: [request('POST /api/v0/pin/rm', { headers: [multipartType], body: multipart({ content: `${blocks[10]}\n${blocks[11]}\n` }) })],
      varies: ['connection']
    },
    {
      title: 'pin ls does not read its body',
      covers: ['arguments in a body', 'command pin/ls'],
      steps: [request('POST /api/v0/pin/ls', { headers: [multipartType], body: multipart({ content: `${blocks[12]}\n` }) })],
      varies: ['connection']
    },
    {
      title: 'an urlencoded body is not read',
      covers: ['content type', 'unread body'],
      steps: [request('POST /api/v0/pin/add', { headers: ['Content-Type: application/x-www-form-urlencoded'], body: `arg=${blocks[12]}` })],
      varies: ['connection']
    },
    {
      title: 'an urlencoded body beside an argument',
      covers: ['content type', 'unread body', 'command pin/ls'],
      steps: [
        request(`POST /api/v0/pin/ls?arg=${blocks[12]}`, { headers: ['Content-Type: application/x-www-form-urlencoded'], body: 'arg=x' })
      ],
      varies: ['connection']
    },
    {
      title: 'multipart without a boundary',
      covers: ['parse errors'],
      steps: [request(`POST /api/v0/pin/add`, { headers: ['Content-Type: multipart/form-data'], body: 'x' })],
      varies: ['connection']
    },
    ...[
      '/api/v0',
      '/api/v0/',
      '/api/v0//pin/add',
      '/api/v0/./version',
      '/api/v0/x/../version?a=b',
      '//api/v0/version',
      '/api/v0/pin',
      '/api/v0/pin/',
      '/api/v0/pin/nope',
      '/api/v0/PIN/add',
      '/api/v0/pin/Add',
      '/api/v0/version/',
      '/api/v0/version/x',
      '/api/v0/daemon',
      '/api/v0/init',
      '/api/v0/config/edit',
      '/api/v0/key/export',
      '/api/v0/diag/datastore/get',
      '/api/v0/%zz',
      '/api/v0/pin/%',
      '/api/v0/commands%3Fx',
      `/api/v0/pin/add/${small}/x`,
      '/api/v0/pin/add/a%2Fb',
      `/api/v0/pin/add/?arg=${small}`,
      '/api/v0/pin/ls/',
      `/api/v0/pin%2fls%2f${small}`
    ].map((path): Case => ({ title: `POST ${path.replace(small, '<cid>')}`, covers: ['paths'], steps: [request(`POST ${path}`)] })),
    option('recursive=maybe', `pin/add?arg=${small}`),
    option('recursive=true&recursive=false', `pin/add?arg=${small}`),
    option('recursive=', `pin/add?arg=${small}`),
    option('progress=', `pin/add?arg=${small}`),
    option('progress=T', `pin/add?arg=${small}`),
    option('name=a&name=b', `pin/add?arg=${small}`),
    option('type=direct&type=all'),
    option('type=nope'),
    option('t=recursive'),
    option('quiet=yes'),
    option('stream='),
    option('s=0'),
    option('timeout=0x10', 'id?x='),
    option('timeout=nonsense'),
    option('timeout=nonsense', 'version?x='),
    option('timeout=10s'),
    option('encoding=nope'),
    option('encoding=nope', 'version?x='),
    option('encoding=text'),
    option('enc=text'),
    option('encoding=text&stream=true'),
    option('encoding=textnl', 'version?x='),
    option('encoding=xml', 'version?x='),
    option('encoding=protobuf', 'version?x='),
    option('stream-channels=maybe'),
    option('stream-channels=false'),
    option('offline=true'),
    option('cid-base=base36'),
    option('cid-base=nope'),
    option('upgrade-cidv0-in-output=true'),
    option('size=0x10', `cat?arg=${small}`),
    option('length=nonsense', `cat?arg=${small}`),
    { title: 'a missing argument', covers: ['parse errors'], steps: [request('POST /api/v0/pin/add')] },
    {
      title: 'a missing argument of pin rm',
      covers: ['parse errors', 'command pin/rm'],
      steps: [request('POST /api/v0/pin/rm?recursive=true')]
    },
    { title: 'a missing argument of cat', covers: ['parse errors'], steps: [request('POST /api/v0/cat')] },
    { title: 'a missing file', covers: ['parse errors', 'command add'], steps: [request('POST /api/v0/add')] },
    {
      title: 'a missing file of block put',
      covers: ['parse errors', 'command block/put'],
      steps: [request('POST /api/v0/block/put?pin=true')]
    },
    { title: 'a missing file of dag put', covers: ['parse errors', 'command dag/put'], steps: [request('POST /api/v0/dag/put?pin=true')] },
    { title: 'a missing file of dag import', covers: ['parse errors', 'command dag/import'], steps: [request('POST /api/v0/dag/import')] },
    {
      title: 'a missing argument of pin update',
      covers: ['parse errors', 'command pin/update'],
      steps: [request(`POST /api/v0/pin/update?arg=${small}`)]
    }
  ]
}
