// Loaded before the pinning compliance suite (`node --import`): the suite reads the API document from the file
// $PINNING_SPEC instead of the network, and writes its reports into the folder $PINNING_REPORTS.
import { register } from 'node:module'

const hooks = `
import { readFile } from 'node:fs/promises'
const named = (name) => JSON.stringify(process.env[name])
export async function load (url, context, next) {
  if (!url.endsWith('/pinning-service-compliance/dist/src/utils/constants.js')) return next(url, context)
  const text = await readFile(new URL(url), 'utf8')
  const source = text
    .replace(/const specLocation = .*/, 'const specLocation = ' + named('PINNING_SPEC'))
    .replace(/const docsDir = .*/, 'const docsDir = ' + named('PINNING_REPORTS'))
  return { format: 'module', source, shortCircuit: true }
}`
register('data:text/javascript,' + encodeURIComponent(hooks))
