// Gives each agent of the stack its secret, in a file that only the controller and the agents have.
// Jenkins computes it from the agent's name and a key in the home, so that only Jenkins can tell it.
// A second file is there as long as Jenkins has the agent: the health check of the agent's container asks for it.
import groovy.json.JsonSlurper
import hudson.ExtensionList
import hudson.model.Computer
import hudson.model.TaskListener
import hudson.slaves.ComputerListener
import hudson.slaves.OfflineCause
import java.nio.file.Files
import java.nio.file.StandardCopyOption
import jenkins.model.Jenkins
import jenkins.slaves.JnlpAgentReceiver

class Connected extends ComputerListener {
    Map<String, File> marks

    @Override
    void onOnline(Computer computer, TaskListener listener) {
        marks[computer.name]?.createNewFile()
    }

    @Override
    void onOffline(Computer computer, OfflineCause cause) {
        marks[computer.name]?.delete()
    }
}

def jenkins = Jenkins.get()
def agents = new JsonSlurper().parse(new File('/etc/ci/accounts.json'), 'UTF-8').agents
def marks = agents.collectEntries { [it, new File("/run/ci-agents/${it}.connected")] }
marks.values()*.delete()  // those that a killed controller left
ExtensionList.lookup(ComputerListener).add(new Connected(marks: marks))
agents.each { name ->
    try {
        def secret = new File("/run/ci-agents/${name}")
        def half = new File("${secret}.new")
        half.setText(JnlpAgentReceiver.SLAVE_SECRET.mac(name), 'UTF-8')
        Files.move(half.toPath(), secret.toPath(), StandardCopyOption.REPLACE_EXISTING)
    } catch (Throwable failed) {
        failed.printStackTrace(System.out)
        jenkins.systemMessage = "${jenkins.systemMessage}\nRefused: the secret of ${name}: ${failed}"
    }
}
