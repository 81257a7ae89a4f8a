/** What Kubo asks of a caller: origin, referer, user agent, CORS. The same of passed calls and of those that become pins of the cluster. */
import { multipart, multipartType, request } from '../../../support/wire.ts'
import type { Case, Content } from '../case.ts'

const origins = [
  'http://127.0.0.1:{port}',
  'http://localhost:{port}',
  'http://[::1]:{port}',
  'https://127.0.0.1:{port}',
  'http://127.0.0.1:1',
  'http://evil.example',
  'http://127.0.0.1:{port}.evil.example',
  'null',
  'chrome-extension://nibjojkomfdiaoajekhjakgkdhaomnch'
]

export function gateCases({ small, smallV1 }: Content): readonly Case[] {
  const calls = [
    ['version', 'version'],
    ['pin/ls', `pin/ls?arg=${small}`],
    ['pin/rm', `pin/rm?arg=${smallV1}`]
  ] as const
  return calls
    .flatMap(([name, path]): Case[] => {
      const row = name === 'version' ? 'origin' : `command ${name}`
      const of = (what: string, headers: readonly string[], covers: readonly string[]): Case => ({
        title: `${name} with ${what}`,
        covers: [...covers, row],
        steps: [request(`POST /api/v0/${path}`, { headers })]
      })
      return [
        ...origins.map(origin => of(`Origin ${origin}`, [`Origin: ${origin}`], ['own origins', 'same gate', 'origin', 'CORS of a call'])),
        ...['http://127.0.0.1:{port}/webui/', 'http://evil.example/page', 'nonsense', ''].map(referer =>
          of(`Referer ${referer}`, [`Referer: ${referer}`], ['same gate', 'referer'])
        ),
        of('an own Origin and a foreign Referer', ['Origin: http://127.0.0.1:{port}', 'Referer: http://evil.example/'], ['referer']),
        of('two Origins', ['Origin: http://127.0.0.1:{port}', 'Origin: http://evil.example'], ['origin']),
        of('lower-case origin', ['origin: http://localhost:{port}'], ['origin']),
        of('a browser agent', ['User-Agent: Mozilla/5.0 (X11)'], ['same gate', 'user agent']),
        of('an Electron agent', ['User-Agent: Mozilla/5.0 Electron/1.0'], ['user agent']),
        of('a browser agent and an own Origin', ['User-Agent: Mozilla/5.0 (X11)', 'Origin: http://localhost:{port}'], ['user agent']),
        of('the agent of an old Kubo', ['User-Agent: /kubo/0.1/'], ['user agent']),
        of('the agent of today', ['User-Agent: go-ipfs-cmds/http'], ['user agent']),
        of('a token that nobody asks for', ['Authorization: Bearer secret'], ['authorization']),
        of('Expect of something else', ['Expect: 200-ok'], ['expect']),
        {
          title: `a form of another page to ${name}`,
          covers: ['same gate', 'origin', row],
          steps: [request(`POST /api/v0/${path}`, { headers: ['Origin: http://evil.example', 'Content-Type: text/plain'], body: 'a=b' })],
          varies: ['connection']
        },
        ...['http://127.0.0.1:{port}', 'http://evil.example'].flatMap(origin =>
          (
            [
              ['POST', undefined],
              ['GET', undefined],
              ['POST', 'content-type'],
              ['POST', 'content-type,x-requested-with'],
              ['POST', 'authorization']
            ] as const
          ).map(([method, headers]) => ({
            title: `preflight of ${name} from ${origin} for ${method}${headers ? ` with ${headers}` : ''}`,
            covers: ['CORS preflight'],
            steps: [
              request(`OPTIONS /api/v0/${path}`, {
                headers: [
                  `Origin: ${origin}`,
                  `Access-Control-Request-Method: ${method}`,
                  ...(headers ? [`Access-Control-Request-Headers: ${headers}`] : [])
                ]
              })
            ]
          }))
        ),
        {
          title: `GET of ${name} from an own origin`,
          covers: ['CORS of a call', 'methods'],
          steps: [request(`GET /api/v0/${path}`, { headers: ['Origin: http://127.0.0.1:{port}'] })]
        }
      ]
    })
    .concat([
      {
        title: 'add from an own origin',
        covers: ['own origins', 'command add'],
        steps: [
          request('POST /api/v0/add', {
            headers: ['Origin: http://127.0.0.1:{port}', multipartType],
            body: multipart({ filename: 'o', content: 'own origin' })
          })
        ],
        varies: ['connection']
      },
      {
        title: 'add from another origin',
        covers: ['same gate', 'command add'],
        steps: [
          request('POST /api/v0/add', {
            headers: ['Origin: http://evil.example', multipartType],
            body: multipart({ filename: 'o', content: 'foreign' })
          })
        ],
        varies: ['connection']
      },
      {
        title: 'the WebUI asks from its own page',
        varies: ['body'],
        covers: ['own origins', 'WebUI'],
        steps: [
          request('POST /api/v0/commands?flags=false', {
            headers: ['Origin: http://127.0.0.1:{port}', 'Referer: http://127.0.0.1:{port}/ipfs/webui/', 'User-Agent: Mozilla/5.0 (X11)']
          })
        ]
      }
    ])
}
