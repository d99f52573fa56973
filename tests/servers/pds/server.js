// One process of a throw-away network: `node server.js plc` or `node server.js pds '<settings as JSON>'`.
// Prints one line of JSON with its address once it answers. Two processes, so that a PDS can be killed and started
// again over its own data while the directory of identities stays.
import { TestPds, TestPlc, mockNetworkUtilities } from '@atproto/dev-env'

const [role, settings = '{}'] = process.argv.slice(2)
const server = role === 'plc' ? await TestPlc.create({}) : await TestPds.create(JSON.parse(settings))
if (role === 'pds') mockNetworkUtilities(server)
console.log(JSON.stringify({ url: server.url }))
// Whoever started it holds its standard input: when that ends, so does this.
process.stdin.resume()
process.stdin.on('end', () => process.exit(0))
