package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
)

// standInHeader is on every answer. Jenkins' own X-Jenkins is not sent: it would claim a version of Jenkins.
const standInHeader = "X-Jenkins-Stand-In"

// maxBody bounds what a request may send; forms and triggers are small.
const maxBody = 1 << 20

// open is what Jenkins answers without a login (Jenkins.ALWAYS_READABLE_PATHS, as far as it is served here).
var openPaths = []string{"/login", "/loginError", "/logout", "/j_spring_security_check", "/robots.txt"}

// Site is the web page and the API. Until Ready it answers 503 to everything, as Jenkins does while it starts.
type Site struct{ ready atomic.Pointer[http.Handler] }

// NewSite is a site that is not ready yet.
func NewSite() *Site { return &Site{} }

// Ready opens the site for a controller.
func (site *Site) Ready(controller *Controller) {
	gate := NewGate(controller.Settings.Accounts)
	mux := http.NewServeMux()
	(&api{controller: controller, gate: gate}).register(mux)
	(&pages{controller: controller, gate: gate}).register(mux)
	var handler http.Handler = guard(gate, mux)
	site.ready.Store(&handler)
}

func (site *Site) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	header := writer.Header()
	header.Set(standInHeader, "1")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "sameorigin")
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'")
	header.Set("Cache-Control", "no-cache,no-store,must-revalidate")
	request.Body = http.MaxBytesReader(writer, request.Body, maxBody)
	if handler := site.ready.Load(); handler != nil {
		(*handler).ServeHTTP(writer, request)
		return
	}
	show(writer, http.StatusServiceUnavailable, "message", message{Title: "Starting",
		Text: "Please wait while the stand-in controller is getting ready to work."})
}

type userKey struct{}

// userOf is who sent a request that the guard let through; "" on the open paths.
func userOf(request *http.Request) string {
	user, _ := request.Context().Value(userKey{}).(string)
	return user
}

// guard refuses in Jenkins' order: a wrong password (401, wherever it is sent), a POST without a crumb (403), then
// whatever needs a login (403 with a page that leads a browser to the form).
func guard(gate *Gate, next http.Handler) http.Handler {
	return http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		user, ok := gate.User(request)
		if !ok {
			writer.Header().Set("WWW-Authenticate", `Basic realm="Jenkins"`)
			show(writer, http.StatusUnauthorized, "message", message{Title: "Invalid password/token for user",
				Text: "The user name or the password sent with this request is wrong."})
			return
		}
		path := strings.TrimSuffix(request.URL.Path, "/")
		if request.Method == http.MethodPost && path != "/j_spring_security_check" && !gate.ValidCrumb(request, user) {
			show(writer, http.StatusForbidden, "message", message{Title: "No valid crumb was included in the request",
				Text: "Fetch one from /crumbIssuer/api/json in the same session, and send it as " + crumbField + "."})
			return
		}
		if user == "" && !slices.Contains(openPaths, path) {
			header := writer.Header()
			header.Set("X-You-Are-Authenticated-As", "anonymous")
			header.Set("X-Required-Permission", "hudson.model.Hudson.Read")
			show(writer, http.StatusForbidden, "message", message{Title: "Authentication required",
				Text:   "Log in first.",
				Follow: "/login?from=" + url.QueryEscape(request.URL.RequestURI())})
			return
		}
		next.ServeHTTP(writer, request.WithContext(context.WithValue(request.Context(), userKey{}, user)))
	})
}

func notFound(writer http.ResponseWriter, what string, words ...any) {
	show(writer, http.StatusNotFound, "message", message{Title: "Not found", Text: fmt.Sprintf(what, words...)})
}
