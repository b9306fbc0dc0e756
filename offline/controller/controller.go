package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"slices"
	"strconv"
	"sync"
)

// Pipeline runs one build and says how it ended. It writes all that a person should read to the log, returns soon
// after the context ends, and leaves nothing behind.
type Pipeline interface {
	Run(ctx context.Context, build Build, log io.Writer) Result
}

// Item is one entry of the build queue. Number is 0 until its build starts.
type Item struct {
	ID     int
	Job    string
	User   string
	Number int
}

// Controller holds the jobs, the queue and the one executor. Its methods may be called from any goroutine.
type Controller struct {
	Settings Settings
	pipeline Pipeline

	mutex  sync.Mutex
	store  *Store
	items  []*Item // waiting or started since this process began, ascending by ID
	nextID int
	wake   chan struct{}
}

// NewController starts with the history that the store holds and an empty queue.
func NewController(settings Settings, store *Store, pipeline Pipeline) *Controller {
	return &Controller{
		Settings: settings, pipeline: pipeline, store: store,
		nextID: store.LastQueueID() + 1, wake: make(chan struct{}, 1),
	}
}

// HasJob tells whether a job of this name was seeded.
func (controller *Controller) HasJob(name string) bool {
	return slices.Contains(controller.Settings.Jobs, name)
}

// Enqueue asks for a build. A second request for a job that still waits gets the first one's entry, as in Jenkins.
func (controller *Controller) Enqueue(job, user string) Item {
	controller.mutex.Lock()
	defer controller.mutex.Unlock()
	for _, item := range controller.items {
		if item.Job == job && item.Number == 0 {
			return *item
		}
	}
	item := &Item{ID: controller.nextID, Job: job, User: user}
	controller.nextID++
	controller.items = append(controller.items, item)
	select {
	case controller.wake <- struct{}{}:
	default: // the executor has been told already
	}
	return *item
}

// Item finds a queue entry, also one of an earlier process whose build was kept.
func (controller *Controller) Item(id int) (Item, bool) {
	controller.mutex.Lock()
	defer controller.mutex.Unlock()
	for _, item := range controller.items {
		if item.ID == id {
			return *item, true
		}
	}
	for _, builds := range controller.store.builds {
		for _, build := range builds {
			if build.QueueID == id {
				return Item{ID: id, Job: build.Job, User: build.StartedBy, Number: build.Number}, true
			}
		}
	}
	return Item{}, false
}

// Builds are copies of a job's builds, the newest first.
func (controller *Controller) Builds(job string) []Build {
	controller.mutex.Lock()
	defer controller.mutex.Unlock()
	var builds []Build
	for _, build := range slices.Backward(controller.store.Builds(job)) {
		builds = append(builds, *build)
	}
	return builds
}

// Build finds a build by its number or by one of Jenkins' names for a build (lastBuild ...).
func (controller *Controller) Build(job, name string) (Build, bool) {
	number, err := strconv.Atoi(name)
	wanted, known := map[string]func(Build) bool{
		"lastBuild":             func(Build) bool { return true },
		"lastCompletedBuild":    func(b Build) bool { return !b.Building },
		"lastSuccessfulBuild":   func(b Build) bool { return b.Result == Success },
		"lastFailedBuild":       func(b Build) bool { return b.Result == Failure },
		"lastUnsuccessfulBuild": func(b Build) bool { return !b.Building && b.Result != Success },
	}[name]
	if err == nil {
		wanted, known = func(b Build) bool { return b.Number == number }, true
	}
	if !known {
		return Build{}, false
	}
	for _, build := range controller.Builds(job) {
		if wanted(build) {
			return build, true
		}
	}
	return Build{}, false
}

// LogPath is where a build's log is.
func (controller *Controller) LogPath(build Build) string { return controller.store.LogPath(&build) }

// Work runs the queue, one build at a time, until the context ends; the build that runs then is aborted.
func (controller *Controller) Work(ctx context.Context) {
	for {
		item := controller.waiting()
		if item == nil {
			select {
			case <-ctx.Done():
				return
			case <-controller.wake:
			}
			continue
		}
		if ctx.Err() != nil {
			return
		}
		if err := controller.build(ctx, item); err != nil {
			log.Printf("A build of %s could not be kept: %v", item.Job, err)
			controller.drop(item)
		}
	}
}

func (controller *Controller) waiting() *Item {
	controller.mutex.Lock()
	defer controller.mutex.Unlock()
	for _, item := range controller.items {
		if item.Number == 0 {
			return item
		}
	}
	return nil
}

func (controller *Controller) drop(item *Item) {
	controller.mutex.Lock()
	defer controller.mutex.Unlock()
	controller.items = slices.DeleteFunc(controller.items, func(other *Item) bool { return other == item })
}

func (controller *Controller) build(ctx context.Context, item *Item) error {
	build, file, err := controller.store.New(item.Job, item.ID, item.User) // no lock is held while the disk is waited for
	if err != nil {
		return err
	}
	running := *build
	controller.mutex.Lock()
	controller.store.Add(build)
	item.Number = build.Number
	controller.mutex.Unlock()

	log.Printf("%s #%d started by %s", running.Job, running.Number, running.StartedBy)
	_, _ = fmt.Fprintf(file, "Started by user %s\nThis is the stand-in controller for closed networks, not Jenkins.\n",
		running.StartedBy)
	result := controller.pipeline.Run(ctx, running, file)
	// The last line is in the file before the build counts as ended: who follows the log misses nothing.
	_, _ = fmt.Fprintf(file, "Finished: %s\n", result)
	if err := file.Close(); err != nil {
		log.Printf("%s #%d: its log may be cut short: %v", running.Job, running.Number, err)
	}
	log.Printf("%s #%d ended: %s", running.Job, running.Number, result)

	running.close(result)
	err = controller.store.Save(&running)
	controller.mutex.Lock()
	defer controller.mutex.Unlock()
	*build = running
	return err
}
