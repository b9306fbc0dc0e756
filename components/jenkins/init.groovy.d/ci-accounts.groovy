// Removes the users, credentials and agents that an earlier configuration of the stack made and that this one does not name.
// Configuration as code only adds. What people made by hand is never in the record, so it stays.
import com.cloudbees.plugins.credentials.SystemCredentialsProvider
import com.cloudbees.plugins.credentials.common.IdCredentials
import groovy.json.JsonSlurper
import hudson.model.User
import jenkins.model.Jenkins

def jenkins = Jenkins.get()
def named = new File('/etc/ci/accounts.json').getText('UTF-8')
def record = new File(jenkins.rootDir, 'ci-accounts.json')
try {
    def now = new JsonSlurper().parseText(named)
    def before = record.exists() ? new JsonSlurper().parse(record, 'UTF-8') : now
    (before.users - now.users).each { User.getById(it, false)?.delete() }
    // Without a node in the stack, configuration as code leaves those of before, which would stay offline.
    ((before.agents ?: []) - now.agents).collect { jenkins.getNode(it) }.findAll().each { jenkins.removeNode(it) }
    def gone = before.credentials - now.credentials
    def system = SystemCredentialsProvider.instance
    def removed = system.domainCredentialsMap.values().collect { stored ->
        stored.removeAll(stored.findAll { it instanceof IdCredentials && it.id in gone })
    }
    if (removed.any()) {
        system.save()
    }
    record.setText(named, 'UTF-8')
} catch (Throwable failed) {
    println('Accounts of an earlier configuration are not removed:')
    failed.printStackTrace(System.out)
    jenkins.systemMessage = "${jenkins.systemMessage}\nRefused: removal of accounts that ${record} names: ${failed}"
}
