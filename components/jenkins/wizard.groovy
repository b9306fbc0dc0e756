// With the setup wizard: removes what an earlier `setup: casc` left in the home and what would go on acting there, the
// scripts and the token for notifications. It sorts before those scripts, so that Jenkins runs none of them.
import jenkins.model.GlobalConfiguration
import jenkins.model.Jenkins

def scripts = new File(Jenkins.get().rootDir, 'init.groovy.d')
['ci-0-wizard', 'ci-accounts', 'ci-agents', 'ci-jobs', 'ci-login'].each { new File(scripts, "${it}.groovy").delete() }
// By name and field: an image of one's own may lack the plugin, and the plugin removes tokens for its page alone.
GlobalConfiguration.all().findAll { it.class.name == 'hudson.plugins.git.ApiTokenPropertyConfiguration' }.each {
    it.@apiTokens.removeAll { token -> token.uuid == 'ci' }
    it.save()
}
