// Lets the stack's own verbs in where the realm is not the stack's: a directory does not know their account, and Jenkins takes
// an API token only of a user that its realm knows. They act as Jenkins itself, on the pages that they need and on no other.
import groovy.json.JsonSlurper
import hudson.ExtensionList
import hudson.security.ACL
import jakarta.servlet.http.HttpServletRequest
import jakarta.servlet.http.HttpServletResponse
import java.security.MessageDigest
import jenkins.security.BasicHeaderAuthenticator
import org.springframework.security.core.Authentication

class Verbs extends BasicHeaderAuthenticator {
    static final String JOB = '(/job/[A-Za-z0-9._%-]+)+'
    static final Map<String, String> PAGES = [
        GET: "/(crumbIssuer/|computer/|queue/item/[0-9]+/)?api/json|${JOB}/[0-9]+/(api/json|logText/progressiveText|threadDump/)",
        POST: "/quietDown|/cancelQuietDown|${JOB}/build",
    ]
    String user
    String sha256

    @Override
    Authentication authenticate2(HttpServletRequest request, HttpServletResponse response, String name, String password) {
        def digest = MessageDigest.getInstance('SHA-256').digest(password.getBytes('UTF-8')).encodeHex().toString()
        def path = request.requestURI.substring(request.contextPath.length())
        def isKnown = name == user && MessageDigest.isEqual(digest.bytes, sha256.bytes)
        // The realm answers everybody else.
        isKnown && path ==~ (PAGES[request.method] ?: '') ? ACL.SYSTEM2 : null
    }
}

def account = new File('/etc/ci/verbs.json')
if (account.exists()) {
    def known = new JsonSlurper().parse(account, 'UTF-8')
    ExtensionList.lookup(BasicHeaderAuthenticator).add(0, new Verbs(user: known.user, sha256: known.sha256))
}
