// Gives each agent of the stack its secret, in a file that only the controller and the agents have.
// Jenkins computes it from the agent's name and a key in the home, so that only Jenkins can tell it.
import groovy.json.JsonSlurper
import java.nio.file.Files
import java.nio.file.StandardCopyOption
import jenkins.model.Jenkins
import jenkins.slaves.JnlpAgentReceiver

def jenkins = Jenkins.get()
new JsonSlurper().parse(new File('/etc/ci/accounts.json'), 'UTF-8').agents.each { name ->
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
