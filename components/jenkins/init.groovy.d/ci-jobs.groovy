// Makes and updates the stack's jobs. Each is tried by itself, so that one that Jenkins refuses stops no other.
// Not by configuration as code: that runs before Jenkins has loaded its jobs, so it would make each one anew every
// time, and a new one would be forgotten until the next start.
import groovy.json.JsonSlurper
import hudson.model.Job
import javaposse.jobdsl.plugin.JenkinsDslScriptLoader
import javaposse.jobdsl.plugin.JenkinsJobManagement
import jenkins.model.Jenkins

// Job DSL resets what a definition lacks. So a definition is applied only if it is not the one that was applied last.
// That one is kept in the job's own folder, so that it is renamed, deleted and restored with the job.
def recordOf = { job -> new File(job.rootDir, 'ci-definition') }

def apply = { jenkins, name, text ->
    def old = jenkins.getItem(name)
    def isDisabled = old?.isDisabled()
    def properties = old instanceof Job ? old.allProperties : []
    // What a declarative Jenkinsfile declared, which is in the job since its last build.
    def tracker = old?.allActions?.find { it.class.simpleName == 'DeclarativeJobPropertyTrackerAction' }
    def triggers = tracker ? old.triggers.values().findAll { it.descriptor.id in tracker.triggers } : []
    if (old) {
        recordOf(old).delete()
    }
    new JenkinsDslScriptLoader(new JenkinsJobManagement(System.out, [:], new File('.'))).runScript(text)
    def job = jenkins.getItem(name)
    // Triggers that no tracker names may be those of an earlier definition.
    properties.findAll { it.class.simpleName != 'PipelineTriggersJobProperty' && !job.getProperty(it.class) }
        .each { job.addProperty(it) }
    triggers.findAll { !job.triggers.containsKey(it.descriptor) }.each { job.addTrigger(it) }
    if (tracker) {
        job.replaceAction(tracker)
        job.save()
    }
    if (isDisabled) {
        job.makeDisabled(true)
    }
    recordOf(job).setText(text, 'UTF-8')
}

def jenkins = Jenkins.get()
new JsonSlurper().parse(new File('/etc/ci/jobs.json'), 'UTF-8').each { name, text ->
    try {
        def job = jenkins.getItem(name)
        if (!job || !recordOf(job).exists() || recordOf(job).getText('UTF-8') != text) {
            apply(jenkins, name, text)
        }
    } catch (Throwable refused) {
        println("Job ${name} is refused:")
        refused.printStackTrace(System.out)
        // Where people and `make status` see it. Configuration as code takes it away at the next start.
        def reason = (refused.message ?: refused.class.name).readLines().first()
        if (reason.contains('item type can not be changed')) {
            reason += '. It is another kind of job, as after a change of multibranch: rename or delete it, then restart'
        }
        jenkins.systemMessage = "${jenkins.systemMessage}\nRefused: job ${name}: ${reason}"
    }
}
