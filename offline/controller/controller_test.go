package main

import (
	"context"
	"net/http"
	"os"
	"strings"
	"testing"
)

func TestABuildGoesFromTheQueueToItsResultAsJenkinsTellsIt(t *testing.T) {
	pipeline := &scripted{lines: make(chan string), ends: Success}
	server := site(t, pipeline, "sample")
	client := newClient(t, server, "admin", password)
	client.fetchCrumb()

	response, _ := client.do(http.MethodPost, "/job/sample/build?delay=0sec", "")
	location := response.Header.Get("Location")
	if response.StatusCode != 201 || location != server.URL+"/queue/item/1/" {
		t.Fatalf("%d, Location %q", response.StatusCode, location)
	}
	eventually(t, "the item has an executable", func() bool { return client.json("/queue/item/1/api/json")["executable"] != nil })
	executable := client.json("/queue/item/1/api/json")["executable"].(map[string]any)
	if executable["number"] != 1.0 || executable["url"] != server.URL+"/job/sample/1/" {
		t.Errorf("executable %v", executable)
	}
	running := client.json("/job/sample/lastBuild/api/json")
	if running["building"] != true || running["result"] != nil || running["queueId"] != 1.0 {
		t.Errorf("running: %v", running)
	}

	pipeline.lines <- "häl" + "f"
	var first *http.Response
	var text string
	eventually(t, "the first line is in the log", func() bool {
		first, text = client.get("/job/sample/1/logText/progressiveText?start=0")
		return strings.HasSuffix(text, "hälf\n")
	})
	if first.Header.Get("X-More-Data") != "true" || first.Header.Get("X-Text-Size") != itoa(len(text)) {
		t.Errorf("headers %v for %d bytes", first.Header, len(text))
	}
	close(pipeline.lines)
	eventually(t, "the build has ended", func() bool { return client.json("/job/sample/1/api/json")["building"] == false })
	last, rest := client.get("/job/sample/1/logText/progressiveText?start=" + itoa(len(text)))
	if rest != "Finished: SUCCESS\n" || last.Header.Get("X-More-Data") != "" {
		t.Errorf("the rest is %q, headers %v", rest, last.Header)
	}
	_, whole := client.get("/job/sample/1/consoleText")
	_, again := client.get("/job/sample/1/logText/progressiveText?start=999999")
	if whole != text+rest || again != whole {
		t.Errorf("consoleText %q, from beyond the end %q", whole, again)
	}
	if ended := client.json("/job/sample/lastSuccessfulBuild/api/json"); ended["result"] != "SUCCESS" || ended["duration"] == 0.0 {
		t.Errorf("ended: %v", ended)
	}
}

func TestASecondRequestForAWaitingJobGetsTheSameQueueItem(t *testing.T) {
	pipeline := &scripted{lines: make(chan string), ends: Success}
	client := newClient(t, site(t, pipeline, "sample"), "admin", password)
	client.fetchCrumb()
	start := func() string {
		response, _ := client.do(http.MethodPost, "/job/sample/build", "")
		return response.Header.Get("Location")
	}
	running := start()
	eventually(t, "the first build runs", func() bool { return client.json("/queue/item/1/api/json")["executable"] != nil })
	second, third := start(), start()
	if second == running || third != second {
		t.Errorf("running %q, then %q and %q", running, second, third)
	}
	if waiting := client.json("/queue/item/2/api/json"); waiting["executable"] != nil || waiting["why"] == nil {
		t.Errorf("waiting: %v", waiting)
	}
	close(pipeline.lines)
	eventually(t, "the second build runs after the first", func() bool {
		return client.json("/queue/item/2/api/json")["executable"] != nil
	})
}

func TestWhatIsNotThereIs404AndAGetStartsNothing(t *testing.T) {
	client := newClient(t, site(t, &scripted{}, "sample"), "admin", password)
	client.fetchCrumb()
	for path, want := range map[string]int{
		"/job/other/api/json": 404, "/job/sample/1/api/json": 404, "/job/sample/lastBuild/api/json": 404,
		"/queue/item/9/api/json": 404, "/queue/item/x/api/json": 404, "/job/sample/..%2f..%2fetc/consoleText": 404,
		"/job/sample/build": 405, "/manage": 404,
	} {
		if response, _ := client.get(path); response.StatusCode != want {
			t.Errorf("GET %s: %d, want %d", path, response.StatusCode, want)
		}
	}
	if response, _ := client.do(http.MethodPost, "/job/other/build", ""); response.StatusCode != 404 {
		t.Errorf("POST to an unknown job: %d", response.StatusCode)
	}
	if builds := client.json("/job/sample/api/json")["builds"].([]any); len(builds) != 0 {
		t.Errorf("builds %v", builds)
	}
}

func TestStoppingAbortsTheRunningBuildAndKeepsItsLog(t *testing.T) {
	home := t.TempDir()
	store, err := OpenStore(home)
	must(t, err)
	controller := NewController(Settings{Jobs: []string{"sample"}}, store, &scripted{lines: make(chan string)})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { controller.Work(ctx); close(done) }()
	controller.Enqueue("sample", "admin")
	eventually(t, "the build runs", func() bool { _, known := controller.Build("sample", "1"); return known })
	cancel()
	<-done
	reopened, err := OpenStore(home)
	must(t, err)
	kept := reopened.Builds("sample")
	if len(kept) != 1 || kept[0].Building || kept[0].Result != Aborted {
		t.Fatalf("kept: %+v", kept)
	}
	text, err := os.ReadFile(reopened.LogPath(kept[0]))
	must(t, err)
	if !strings.HasSuffix(string(text), "Finished: ABORTED\n") {
		t.Errorf("log %q", text)
	}
}

func TestHistoryAndNumbersGoOnAfterAKill(t *testing.T) {
	home := t.TempDir()
	store, err := OpenStore(home)
	must(t, err)
	_, log, err := store.New("sample", 7, "admin")
	must(t, err)
	_, err = log.WriteString("half a li")
	must(t, err) // and no more: the process is killed here

	reopened, err := OpenStore(home)
	must(t, err)
	killed := *reopened.Builds("sample")[0]
	if killed.Building || killed.Result != Aborted {
		t.Errorf("killed build: %+v", killed)
	}
	text, err := os.ReadFile(reopened.LogPath(&killed))
	must(t, err)
	if !strings.HasSuffix(string(text), "half a li\nThe controller ended while this build ran.\nFinished: ABORTED\n") {
		t.Errorf("log %q", text)
	}
	controller := NewController(Settings{Jobs: []string{"sample"}}, reopened, &scripted{})
	if item := controller.Enqueue("sample", "admin"); item.ID != 8 {
		t.Errorf("queue number %d after 7", item.ID)
	}
	if item, known := controller.Item(7); !known || item.Number != 1 {
		t.Errorf("the old queue item: %+v", item)
	}
	next, file, err := reopened.New("sample", 8, "admin")
	must(t, err)
	_ = file.Close()
	if next.Number != 2 {
		t.Errorf("build number %d after 1", next.Number)
	}
}

func TestARecordThatCannotBeReadIsLeftOutAndItsNumberNotUsedAgain(t *testing.T) {
	home := t.TempDir()
	write(t, home+"/jobs/sample/builds/1/build.json", "")
	store, err := OpenStore(home)
	must(t, err)
	if builds := store.Builds("sample"); len(builds) != 0 {
		t.Errorf("builds %v", builds)
	}
	next, file, err := store.New("sample", 1, "admin")
	must(t, err)
	_ = file.Close()
	if next.Number != 2 {
		t.Errorf("number %d", next.Number)
	}
}
