// The tus project's own client: it uploads a file, cuts itself off, goes on, or takes an upload back.
//
//   TOKEN=… node upload.mjs whole  ENDPOINT FILE          in one request that is also the creation
//   TOKEN=… node upload.mjs cut    ENDPOINT FILE BYTES    hangs up in the middle of a piece, BYTES on the way
//   TOKEN=… node upload.mjs resume URL      FILE          from where the server says; in pieces of 1 MiB like cut
//   TOKEN=… node upload.mjs remove URL
//
// The last line of stdout is JSON: {"url": the upload's address, "from": the first offset, "sent": bytes of this call}.
import { createReadStream, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

const tus = createRequire(join(process.cwd(), 'node_modules/'))('tus-js-client')
const [action, place, file, cut] = process.argv.slice(2)
const headers = { Authorization: `Bearer ${process.env.TOKEN}` }

const fail = error => { console.error(String(error)); process.exit(1) }
const tell = told => process.stdout.write(JSON.stringify(told) + '\n', () => process.exit(0))

if (action === 'remove') {
  await tus.Upload.terminate(place, { headers, retryDelays: null }).catch(fail)
  tell({ url: place })
} else {
  let from, last
  const upload = new tus.Upload(createReadStream(file), {
    ...(action === 'resume' ? { uploadUrl: place } : { endpoint: place }),
    chunkSize: action === 'whole' ? 1 << 30 : 1 << 20,
    uploadDataDuringCreation: action === 'whole',
    uploadSize: statSync(file).size,
    metadata: { name: 'by tus-js-client' },
    retryDelays: null,
    headers,
    onProgress (sent) {
      from ??= sent
      last = sent
      if (action === 'cut' && sent >= Number(cut)) {
        upload.abort().then(() => tell({ url: upload.url, from, sent: last - from }), fail)
      }
    },
    onError: fail,
    onSuccess: () => tell({ url: upload.url, from, sent: last - from })
  })
  upload.start()
}
