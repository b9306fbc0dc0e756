package main

import (
	_ "embed"
	"html/template"
	"log"
	"net/http"
	"os"
	"strings"
)

//go:embed pages.html
var pagesText string

var templates = template.Must(template.New("pages").Parse(pagesText))

// message is a page of one sentence. Follow, when set, is where a browser goes after a second.
type message struct{ Title, Text, Follow string }

type loginForm struct {
	From   string
	Failed bool
}

type row struct {
	Name string
	Last Build
	Ran  bool
}

type overview struct {
	User, Setup string
	Jobs        []row
}

type jobPage struct {
	User, Name, Crumb string
	Builds            []Build
}

type consolePage struct {
	User  string
	Build Build
	Text  string
}

// pages is what a person with a browser sees. It is plain on purpose: it must not be taken for Jenkins.
type pages struct {
	controller *Controller
	gate       *Gate
}

func (pages *pages) register(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", pages.overview)
	mux.HandleFunc("GET /login", pages.login)
	mux.HandleFunc("GET /loginError", pages.login)
	mux.HandleFunc("GET /logout", pages.logout)
	mux.HandleFunc("POST /j_spring_security_check", pages.check)
	mux.HandleFunc("GET /job/{job}/{$}", pages.job)
	mux.HandleFunc("GET /job/{job}/{build}/{$}", pages.console)
	mux.HandleFunc("GET /job/{job}/{build}/console", pages.console)
	mux.HandleFunc("GET /robots.txt", func(writer http.ResponseWriter, _ *http.Request) {
		writer.Header().Set("Content-Type", "text/plain;charset=utf-8")
		_, _ = writer.Write([]byte("User-agent: *\nDisallow: /\n"))
	})
	mux.HandleFunc("/", func(writer http.ResponseWriter, _ *http.Request) {
		notFound(writer, "The stand-in does not have this page; Jenkins may.")
	})
}

func (pages *pages) overview(writer http.ResponseWriter, request *http.Request) {
	page := overview{User: userOf(request), Setup: pages.controller.Settings.Setup}
	for _, name := range pages.controller.Settings.Jobs {
		last, ran := pages.controller.Build(name, "lastBuild")
		page.Jobs = append(page.Jobs, row{Name: name, Last: last, Ran: ran})
	}
	show(writer, http.StatusOK, "overview", page)
}

// login answers /loginError too, with 401: that is where a wrong password leads.
func (pages *pages) login(writer http.ResponseWriter, request *http.Request) {
	form := loginForm{From: local(request.URL.Query().Get("from")), Failed: request.URL.Path == "/loginError"}
	status := http.StatusOK
	if form.Failed {
		status = http.StatusUnauthorized
	}
	show(writer, status, "login", form)
}

func (pages *pages) check(writer http.ResponseWriter, request *http.Request) {
	user := request.PostFormValue("j_username")
	if !pages.gate.Check(user, request.PostFormValue("j_password")) {
		http.Redirect(writer, request, "/loginError", http.StatusFound)
		return
	}
	pages.gate.Login(writer, request, user)
	http.Redirect(writer, request, local(request.PostFormValue("from")), http.StatusFound)
}

func (pages *pages) logout(writer http.ResponseWriter, request *http.Request) {
	pages.gate.Logout(request)
	http.Redirect(writer, request, "/login", http.StatusFound)
}

func (pages *pages) job(writer http.ResponseWriter, request *http.Request) {
	name := request.PathValue("job")
	if !pages.controller.HasJob(name) {
		notFound(writer, "There is no job %q.", name)
		return
	}
	user := userOf(request)
	show(writer, http.StatusOK, "job", jobPage{
		User: user, Name: name, Crumb: pages.gate.Crumb(writer, request, user), Builds: pages.controller.Builds(name),
	})
}

func (pages *pages) console(writer http.ResponseWriter, request *http.Request) {
	job, name := request.PathValue("job"), request.PathValue("build")
	build, known := pages.controller.Build(job, name)
	if !known || !pages.controller.HasJob(job) {
		notFound(writer, "There is no build %q of a job %q.", name, job)
		return
	}
	text, err := os.ReadFile(pages.controller.LogPath(build))
	if err != nil {
		text = []byte("(no log)")
	}
	show(writer, http.StatusOK, "console", consolePage{User: userOf(request), Build: build, Text: string(text)})
}

// local keeps a page of this site and nothing else: a login must not lead to another one.
func local(path string) string {
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n") {
		return "/"
	}
	return path
}

func show(writer http.ResponseWriter, status int, name string, page any) {
	writer.Header().Set("Content-Type", "text/html;charset=utf-8")
	writer.WriteHeader(status)
	if err := templates.ExecuteTemplate(writer, name, page); err != nil {
		log.Printf("The page %q was not sent whole: %v", name, err)
	}
}
