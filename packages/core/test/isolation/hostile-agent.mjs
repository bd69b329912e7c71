// An agent that turns against its gateway. Run as `node -e <this> <habit> <argument>`; the test's are the paths it names.
import { execFileSync } from 'node:child_process'
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createServer as createRawServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'

const [habit, argument] = process.argv.slice(1)
const SOCKET = process.env.TENANTBOX_SOCKET
const MiB = 1024 ** 2
/** What would clear a terminal, forge lines of a log and turn text around, if it were printed as it is. */
const WORDS = '\u001b[2J\u009b31mforged\r\n{"level":"fatal","msg":"forged"}\u202edegrof\u2028forged'

const listen = (server) => new Promise((resolve) => server.listen(SOCKET, resolve))
/** Answers every connection with these bytes, whatever it is asked. */
const raw = (speak) => listen(createRawServer((socket) => speak(socket.on('error', () => undefined))))
const http = (answer) => listen(createServer(answer))

async function pour(stream, chunk, pauseMs) {
  while (!stream.destroyed) {
    if (pauseMs) await sleep(pauseMs)
    if (!stream.write(chunk))
      await new Promise((resolve) => stream.once('drain', resolve).once('close', resolve))
  }
}

const chunk = (text) => `${text.length.toString(16)}\r\n${text}\r\n`
const smallest = (chunks) =>
  raw((socket) => {
    socket.write(
      'HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n',
    )
    pour(socket, Buffer.from(chunks))
  })

const HABITS = {
  symlink: () => symlinkSync(argument, SOCKET),
  fifo: () => execFileSync('/bin/mkfifo', [SOCKET]),
  directory: () => mkdirSync(SOCKET),
  file: () => writeFileSync(SOCKET, 'no socket'),
  nothing: () => undefined,

  /** Exchanges the socket for a symlink and back, as fast as it can. */
  swap: async () => {
    await http((_, outgoing) => outgoing.end('mine'))
    renameSync(SOCKET, `${SOCKET}.real`)
    const exchange = () => {
      for (let i = 0; i < 1000; i++) {
        renameSync(`${SOCKET}.real`, SOCKET)
        renameSync(SOCKET, `${SOCKET}.real`)
        symlinkSync(argument, SOCKET)
        rmSync(SOCKET)
      }
      setImmediate(exchange)
    }
    exchange()
  },

  /** Listens anew again and again, as fast as it can. */
  rebind: async () => {
    const again = async () => {
      const server = createServer((_, outgoing) => outgoing.end('mine'))
      await listen(server)
      setImmediate(() => {
        server.close(again)
        server.closeAllConnections()
      })
    }
    await again()
  },

  lastWords: () => {
    console.log(WORDS)
    console.error(WORDS)
    process.exit(3)
  },
  reportWords: () =>
    http((_, outgoing) => {
      outgoing.writeHead(200, { 'content-type': 'application/x-ndjson' })
      outgoing.end(`${JSON.stringify({ type: 'error', message: WORDS })}\n`)
    }),
  headOfWords: () => raw((socket) => socket.end(`HTTP/1.1 200 OK\r\n${WORDS}\r\n\r\n`)),
  lineOfWords: () =>
    http((_, outgoing) => {
      outgoing.writeHead(200, { 'content-type': 'application/x-ndjson' })
      outgoing.end(`${WORDS}\n`)
    }),
  typeOfWords: () => http((_, outgoing) => outgoing.writeHead(200, { 'content-type': 'forged' }).end(WORDS)),

  /** Takes connections and never says a word. */
  silent: () => raw(() => undefined),
  /** Takes no connection beyond what the kernel queues. */
  deaf: async () => {
    await listen(createRawServer())
    setTimeout(() => {
      for (;;);
    }, 100)
  },
  hangup: () => raw((socket) => socket.destroy()),
  dripHead: () => raw((socket) => pour(socket, 'x', 50)),
  dripBody: () => http((_, outgoing) => pour(outgoing, 'x', 100)),
  endless: () => http((_, outgoing) => pour(outgoing, Buffer.alloc(MiB))),
  longLine: () =>
    http((_, outgoing) => {
      outgoing.writeHead(200, { 'content-type': 'application/x-ndjson' })
      pour(outgoing, Buffer.alloc(64 * 1024, 'x'))
    }),
  deepJson: () =>
    http((_, outgoing) => {
      outgoing.writeHead(200, { 'content-type': 'application/x-ndjson' })
      outgoing.end(`{"type":"text","text":"x","more":${'['.repeat(400_000)}\n`)
    }),
  prototype: () =>
    http((_, outgoing) => {
      outgoing.writeHead(200, { 'content-type': 'application/x-ndjson' })
      outgoing.end(
        '{"type":"data","name":"x","data":{"__proto__":{"polluted":true}},"__proto__":{"polluted":true}}\n{"type":"done"}\n',
      )
    }),
  /** Answers of the least that a piece can be: what they cost the gateway beside their size. */
  crumbs: () => smallest('1\r\nx\r\n'.repeat(10_000)),
  blankLines: () => smallest(chunk('\n'.repeat(64 * 1024))),
  unknownEvents: () => smallest(chunk('{"type":"x"}\n'.repeat(5_000))),
  emptyEvents: () => smallest(chunk('{"type":"status","text":""}\n'.repeat(2_400))),
  redirect: () => http((_, outgoing) => outgoing.writeHead(307, { location: argument }).end()),
  bomb: () => {
    const zeros = gzipSync(Buffer.alloc(200 * MiB))
    return http((_, outgoing) => outgoing.writeHead(200, { 'content-encoding': 'gzip' }).end(zeros))
  },
  garbage: () => raw((socket) => socket.end('\u0000\u0001 GARBAGE \r\n\r\n')),
  oldHttp: () => raw((socket) => socket.end('<html>HTTP/0.9</html>')),
  headers: () =>
    raw((socket) => {
      socket.write('HTTP/1.1 200 OK\r\n')
      pour(socket, `x-filler: ${'x'.repeat(64 * 1024)}\r\n`)
    }),
  interim: () => raw((socket) => pour(socket, 'HTTP/1.1 103 Early Hints\r\n\r\n')),
  upgrade: () =>
    raw((socket) =>
      socket.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'),
    ),
  twoLengths: () =>
    raw((socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 50\r\n\r\nhello')),
  lengthAndChunks: () =>
    raw((socket) =>
      socket.end(
        'HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n',
      ),
    ),
  hugeChunk: () =>
    raw((socket) =>
      socket.end('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\nx'),
    ),
  chunkExtension: () =>
    raw((socket) => {
      socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;')
      pour(socket, 'x'.repeat(64 * 1024))
    }),
  trailers: () =>
    raw((socket) => {
      socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n')
      pour(socket, `x-filler: ${'x'.repeat(64 * 1024)}\r\n`)
    }),
  cut: () => raw((socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf')),
  /** A second answer that nobody asked for, to be taken for the answer to the next request. */
  unasked: () =>
    raw((socket) =>
      socket.on('data', () =>
        socket.write(
          'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfirstHTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nsmuggled',
        ),
      ),
    ),
}

await HABITS[habit]()
console.log('at it')
setInterval(() => undefined, 60_000)
