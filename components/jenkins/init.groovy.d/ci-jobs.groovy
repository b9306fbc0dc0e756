// Makes and updates the stack's jobs. Each is tried by itself, so that one that Jenkins refuses stops no other.
// Not by configuration as code: that runs before Jenkins has loaded its jobs, so it would make each one anew every
// time, and a new one would be forgotten until the next start.
import groovy.json.JsonSlurper
import javaposse.jobdsl.plugin.JenkinsDslScriptLoader
import javaposse.jobdsl.plugin.JenkinsJobManagement
import jenkins.model.Jenkins

def jenkins = Jenkins.get()
new JsonSlurper().parse(new File('/etc/ci/jobs.json'), 'UTF-8').each { name, text ->
    try {
        new JenkinsDslScriptLoader(new JenkinsJobManagement(System.out, [:], new File('.'))).runScript(text)
    } catch (Throwable refused) {
        println("Job ${name} is refused:")
        refused.printStackTrace(System.out)
        // Where people and `make status` see it. Configuration as code takes it away at the next start.
        def reason = (refused.message ?: refused.class.name).readLines().first()
        jenkins.systemMessage = "${jenkins.systemMessage}\nRefused: job ${name}: ${reason}"
    }
}
