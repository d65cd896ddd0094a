// Drives libnpmorg, libnpmteam and libnpmaccess as npm's commands do; prints what each answered.
const [modules, registry, token] = process.argv.slice(2)
const load = name => require(`${modules}/${name}`)
const [org, team, access] = ['libnpmorg', 'libnpmteam', 'libnpmaccess'].map(load)

const opts = { registry, fetchRetries: 0, [`${registry.replace(/^http:/, '')}:_authToken`]: token }
const seeds = '@garden/seeds'
const growers = '@garden:growers'

const calls = [
  ['org.set', () => org.set('@house', '@bob', 'admin', opts)],
  ['org.ls', () => org.ls('house', opts)],
  ['team.create', () => team.create(growers, opts)],
  ['team.lsTeams', () => team.lsTeams('garden', opts)],
  ['team.add', () => team.add('bob', growers, opts)],
  ['team.lsUsers', () => team.lsUsers(growers, opts)],
  ['access.setPermissions', () => access.setPermissions(growers, seeds, 'read-write', opts)],
  ['access.getPackages of a team', () => access.getPackages(growers, opts)],
  ['access.getPackages of an org', () => access.getPackages('garden', opts)],
  ['access.getPackages of a user', () => access.getPackages('bob', opts)],
  ['access.getPackages of nobody', () => access.getPackages('eve', opts)],
  ['access.getCollaborators', () => access.getCollaborators(seeds, opts)],
  ['access.getVisibility', () => access.getVisibility(seeds, opts)],
  ['access.setAccess', () => access.setAccess(seeds, 'public', opts)],
  ['access.getVisibility', () => access.getVisibility(seeds, opts)],
  ['access.setMfa none', () => access.setMfa(seeds, 'none', opts)],
  ['access.setMfa publish', () => access.setMfa(seeds, 'publish', opts)],
  ['access.removePermissions', () => access.removePermissions(growers, seeds, opts)],
  ['team.rm', () => team.rm('bob', growers, opts)],
  ['team.destroy', () => team.destroy(growers, opts)],
  ['team.lsUsers of none', () => team.lsUsers(growers, opts)],
  ['org.rm', () => org.rm('house', 'bob', opts)],
  ['org.ls', () => org.ls('house', opts)],
]

const main = async () => {
  const told = []
  for (const [name, call] of calls) {
    try {
      told.push([name, await call()])
    } catch (error) {
      if (!error.statusCode) {
        throw error
      }
      told.push([name, { status: error.statusCode }])
    }
  }
  console.log(JSON.stringify(told))
}

main().catch(error => {
  console.error(error)
  process.exitCode = 1
})
