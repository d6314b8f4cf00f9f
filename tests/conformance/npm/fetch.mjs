// A Helia client that fetches by HTTP from one gateway and checks every block itself.
//
//   node fetch.mjs GATEWAY RESOURCE [FROM-TO]     bytes on stdout; a listing is JSON lines of name and CID
//
// Helia asks its routers first; an empty list would leave the gateway untried, so the gateway is the router too.
import { pathToFileURL } from 'node:url'
import { join } from 'node:path'

const [gateway, resource, range] = process.argv.slice(2)
const { createHeliaLight } = await import(pathToFileURL(join(process.cwd(), 'node_modules/helia/dist/src/index.js')).href)
const { withHTTP } = await import(pathToFileURL(join(process.cwd(), 'node_modules/@helia/http/dist/src/index.js')).href)
const { createVerifiedFetch } = await import(
  pathToFileURL(join(process.cwd(), 'node_modules/@helia/verified-fetch/dist/src/index.js')).href)

const helia = await withHTTP(createHeliaLight(), {
  delegatedRouters: [gateway], recursiveGateways: [gateway], allowInsecure: true, allowLocal: true
}).start()
const fetch = await createVerifiedFetch(helia)
const response = await fetch(resource, range ? { headers: { Range: `bytes=${range}` } } : {})
if (!response.ok) {
  console.error(`${response.status} ${response.statusText}`, await response.text())
  process.exit(1)
}
process.stdout.write(new Uint8Array(await response.arrayBuffer()), () => process.exit(0))
