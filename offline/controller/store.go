package main

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Result is how a build ended, in Jenkins' words; empty while it runs.
type Result string

// The results that the stand-in knows.
const (
	Success Result = "SUCCESS"
	Failure Result = "FAILURE"
	Aborted Result = "ABORTED"
)

// Build is one run of a job as it is kept in jobs/<job>/builds/<number>/build.json.
type Build struct {
	Job       string `json:"job"`
	Number    int    `json:"number"`
	QueueID   int    `json:"queueId"`
	StartedBy string `json:"startedBy"`
	Building  bool   `json:"building"`
	Result    Result `json:"result"`
	Timestamp int64  `json:"timestamp"` // milliseconds since 1970, as Jenkins counts
	Duration  int64  `json:"duration"`  // milliseconds; 0 while building
}

// Store keeps builds under a home folder. It is not safe for concurrent use: Controller guards the history, and only its
// executor calls New and Save, which wait for the disk.
type Store struct {
	home   string
	builds map[string][]*Build // job -> builds, ascending by number
}

// OpenStore reads the history of every job. A build that was running when the controller died is closed as aborted.
func OpenStore(home string) (*Store, error) {
	store := &Store{home: home, builds: map[string][]*Build{}}
	paths, err := filepath.Glob(filepath.Join(home, "jobs", "*", "builds", "*", "build.json"))
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		build := &Build{}
		if err := json.Unmarshal(text, build); err != nil {
			log.Printf("A build is left out of the history, its record cannot be read: %s: %v", path, err)
			continue
		}
		if build.Building {
			build.close(Aborted)
			if err := store.closeLog(build); err != nil {
				return nil, err
			}
			if err := store.Save(build); err != nil {
				return nil, err
			}
		}
		store.builds[build.Job] = append(store.builds[build.Job], build)
	}
	for _, builds := range store.builds {
		slices.SortFunc(builds, func(a, b *Build) int { return a.Number - b.Number })
	}
	return store, nil
}

// New makes a job's next build on the disk and opens its log for appending. Add makes it part of the history.
func (store *Store) New(job string, queueID int, user string) (*Build, *os.File, error) {
	build := &Build{
		Job: job, Number: 1, QueueID: queueID, StartedBy: user,
		Building: true, Timestamp: time.Now().UnixMilli(),
	}
	if earlier := store.builds[job]; len(earlier) > 0 {
		build.Number = earlier[len(earlier)-1].Number + 1
	}
	if err := os.MkdirAll(filepath.Dir(store.folder(build)), 0o755); err != nil {
		return nil, nil, err
	}
	// A folder that is there already belongs to a build whose record could not be read; its number is not used again.
	for {
		err := os.Mkdir(store.folder(build), 0o755)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, nil, err
		}
		build.Number++
	}
	file, err := os.OpenFile(store.LogPath(build), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, nil, err
	}
	if err := store.Save(build); err != nil {
		_ = file.Close()
		return nil, nil, err
	}
	return build, file, nil
}

// Add appends a build to its job's history.
func (store *Store) Add(build *Build) {
	store.builds[build.Job] = append(store.builds[build.Job], build)
}

// Save writes build.json whole or not at all.
func (store *Store) Save(build *Build) error {
	text, err := json.MarshalIndent(build, "", "  ")
	if err != nil {
		return err
	}
	return writeWhole(filepath.Join(store.folder(build), "build.json"), append(text, '\n'), 0o644)
}

// Builds are a job's builds, ascending.
func (store *Store) Builds(job string) []*Build { return store.builds[job] }

// LastQueueID is the highest queue number ever given to a build, 0 if none.
func (store *Store) LastQueueID() int {
	last := 0
	for _, builds := range store.builds {
		for _, build := range builds {
			last = max(last, build.QueueID)
		}
	}
	return last
}

// LogPath is where a build's log is.
func (store *Store) LogPath(build *Build) string { return filepath.Join(store.folder(build), "log") }

func (store *Store) folder(build *Build) string {
	return filepath.Join(store.home, "jobs", build.Job, "builds", strconv.Itoa(build.Number))
}

// closeLog ends the log of a build that nobody ended.
func (store *Store) closeLog(build *Build) error {
	file, err := os.OpenFile(store.LogPath(build), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(file, "\nThe controller ended while this build ran.\nFinished: %s\n", build.Result)
	return errors.Join(err, file.Close())
}

func (build *Build) close(result Result) {
	build.Building, build.Result = false, result
	build.Duration = max(1, time.Now().UnixMilli()-build.Timestamp)
}

// Identity is a word of this home's own, made once. Containers of its builds are labelled with it, so that those left
// behind by a killed controller are found again by the next one, and nobody else's are touched.
func Identity(home string) (string, error) {
	path := filepath.Join(home, "stand-in-identity")
	text, err := os.ReadFile(path)
	if err == nil && len(strings.TrimSpace(string(text))) == 16 {
		return strings.TrimSpace(string(text)), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	random := make([]byte, 8)
	_, _ = rand.Read(random) // never fails: see crypto/rand
	word := hex.EncodeToString(random)
	return word, writeWhole(path, []byte(word+"\n"), 0o644)
}
