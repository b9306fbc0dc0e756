package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"strconv"
)

// api is the JSON and plain-text part, with Jenkins' paths, status codes and headers. Like Jenkins it builds absolute
// addresses from the Host that the client used.
type api struct {
	controller *Controller
	gate       *Gate
}

type object = map[string]any

func (api *api) register(mux *http.ServeMux) {
	mux.HandleFunc("GET /api/json", api.root)
	mux.HandleFunc("GET /crumbIssuer/api/json", api.crumb)
	mux.HandleFunc("GET /queue/item/{id}/api/json", api.item)
	mux.HandleFunc("GET /job/{job}/api/json", api.job)
	mux.HandleFunc("POST /job/{job}/build", api.start)
	mux.HandleFunc("GET /job/{job}/build", func(writer http.ResponseWriter, _ *http.Request) {
		writer.Header().Set("Allow", http.MethodPost)
		show(writer, http.StatusMethodNotAllowed, "message", message{Title: "Form post required", Text: "Use POST."})
	})
	mux.HandleFunc("GET /job/{job}/{build}/api/json", api.build)
	mux.HandleFunc("GET /job/{job}/{build}/consoleText", api.consoleText)
	mux.HandleFunc("GET /job/{job}/{build}/logText/progressiveText", api.progressiveText)
}

func (api *api) root(writer http.ResponseWriter, request *http.Request) {
	jobs := []object{}
	for _, name := range api.controller.Settings.Jobs {
		jobs = append(jobs, object{"name": name, "url": address(request, "job", name), "color": api.color(name)})
	}
	answer(writer, object{
		"mode": "NORMAL", "nodeDescription": "stand-in for closed networks, not Jenkins", "numExecutors": 1,
		"quietingDown": false, "useCrumbs": true, "useSecurity": true, "jobs": jobs, "url": address(request),
	})
}

func (api *api) crumb(writer http.ResponseWriter, request *http.Request) {
	crumb := api.gate.Crumb(writer, request, userOf(request))
	answer(writer, object{"crumb": crumb, "crumbRequestField": crumbField})
}

func (api *api) start(writer http.ResponseWriter, request *http.Request) {
	job := request.PathValue("job")
	if !api.controller.HasJob(job) {
		notFound(writer, "There is no job %q.", job)
		return
	}
	item := api.controller.Enqueue(job, userOf(request))
	if request.FormValue("from") == "page" {
		http.Redirect(writer, request, "/job/"+url.PathEscape(job)+"/", http.StatusSeeOther)
		return
	}
	writer.Header().Set("Location", address(request, "queue", "item", strconv.Itoa(item.ID)))
	writer.WriteHeader(http.StatusCreated)
}

func (api *api) item(writer http.ResponseWriter, request *http.Request) {
	id, err := strconv.Atoi(request.PathValue("id"))
	item, known := api.controller.Item(id)
	if err != nil || !known {
		notFound(writer, "There is no queue item %q.", request.PathValue("id"))
		return
	}
	left := item.Number > 0
	answered := object{
		"id": item.ID, "blocked": false, "buildable": !left, "stuck": false, "why": nil,
		"url":  "queue/item/" + strconv.Itoa(item.ID) + "/",
		"task": object{"name": item.Job, "url": address(request, "job", item.Job)},
	}
	if left {
		number := strconv.Itoa(item.Number)
		answered["cancelled"] = false
		answered["executable"] = object{"number": item.Number, "url": address(request, "job", item.Job, number)}
	} else {
		answered["why"] = "Waiting for next available executor"
	}
	answer(writer, answered)
}

func (api *api) job(writer http.ResponseWriter, request *http.Request) {
	name := request.PathValue("job")
	if !api.controller.HasJob(name) {
		notFound(writer, "There is no job %q.", name)
		return
	}
	builds := []object{}
	next := 1
	for _, build := range api.controller.Builds(name) {
		next = max(next, build.Number+1)
		builds = append(builds, object{"number": build.Number, "queueId": build.QueueID,
			"url": address(request, "job", name, strconv.Itoa(build.Number))})
	}
	var last any
	if len(builds) > 0 {
		last = builds[0]
	}
	answer(writer, object{
		"name": name, "fullName": name, "displayName": name, "url": address(request, "job", name), "buildable": true,
		"color": api.color(name), "builds": builds, "lastBuild": last, "nextBuildNumber": next,
	})
}

func (api *api) build(writer http.ResponseWriter, request *http.Request) {
	build, known := api.find(writer, request)
	if !known {
		return
	}
	var result any // null while building, as in Jenkins
	if build.Result != "" {
		result = build.Result
	}
	number := strconv.Itoa(build.Number)
	answer(writer, object{
		"id": number, "number": build.Number, "displayName": "#" + number, "queueId": build.QueueID,
		"fullDisplayName": build.Job + " #" + number, "url": address(request, "job", build.Job, number),
		"building": build.Building, "inProgress": build.Building, "result": result,
		"timestamp": build.Timestamp, "duration": build.Duration,
		"actions": []object{{"causes": []object{{
			"shortDescription": "Started by user " + build.StartedBy, "userId": build.StartedBy,
		}}}},
	})
}

func (api *api) consoleText(writer http.ResponseWriter, request *http.Request) {
	if build, known := api.find(writer, request); known {
		api.log(writer, build, 0)
	}
}

// progressiveText answers the log from a byte offset on. X-Text-Size is the offset to ask for next; X-More-Data is
// there while the build runs. An offset beyond the end means from the start again (LargeText.doProgressText).
func (api *api) progressiveText(writer http.ResponseWriter, request *http.Request) {
	start := int64(0)
	if text := request.URL.Query().Get("start"); text != "" {
		var err error
		if start, err = strconv.ParseInt(text, 10, 64); err != nil || start < 0 {
			http.Error(writer, "start is a byte offset", http.StatusBadRequest)
			return
		}
	}
	// The build is looked up before its log's size is: a log that grows in between is shown with the next question.
	build, known := api.find(writer, request)
	if !known {
		return
	}
	if build.Building {
		writer.Header().Set("X-More-Data", "true")
	}
	api.log(writer, build, start)
}

func (api *api) log(writer http.ResponseWriter, build Build, start int64) {
	writer.Header().Set("Content-Type", "text/plain;charset=utf-8")
	file, err := os.Open(api.controller.LogPath(build))
	if err != nil {
		writer.Header().Set("X-Text-Size", "0")
		return
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		http.Error(writer, "the log cannot be read", http.StatusInternalServerError)
		return
	}
	size := info.Size()
	if start > size {
		start = 0
	}
	writer.Header().Set("X-Text-Size", strconv.FormatInt(size, 10))
	if _, err := io.Copy(writer, io.NewSectionReader(file, start, size-start)); err != nil {
		log.Printf("A log was not sent whole: %v", err)
	}
}

func (api *api) find(writer http.ResponseWriter, request *http.Request) (Build, bool) {
	job, name := request.PathValue("job"), request.PathValue("build")
	if api.controller.HasJob(job) {
		if build, known := api.controller.Build(job, name); known {
			return build, true
		}
	}
	notFound(writer, "There is no build %q of a job %q.", name, job)
	return Build{}, false
}

// color is Jenkins' word for a job's state.
func (api *api) color(job string) string {
	build, known := api.controller.Build(job, "lastBuild")
	if !known {
		return "notbuilt"
	}
	switch {
	case build.Building:
		return "notbuilt_anime"
	case build.Result == Success:
		return "blue"
	case build.Result == Failure:
		return "red"
	}
	return "aborted"
}

// address is an absolute URL below the root, with the closing slash that Jenkins' addresses have.
func address(request *http.Request, parts ...string) string {
	root := fmt.Sprintf("http://%s/", request.Host)
	for _, part := range parts {
		root += url.PathEscape(part) + "/"
	}
	return root
}

func answer(writer http.ResponseWriter, value object) {
	writer.Header().Set("Content-Type", "application/json;charset=utf-8")
	if err := json.NewEncoder(writer).Encode(value); err != nil {
		log.Printf("An answer was not sent whole: %v", err)
	}
}
