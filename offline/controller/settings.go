package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"golang.org/x/crypto/bcrypt"
)

// How the controller was set up; the words are those of the stack's `setup` key.
const (
	setupCasc   = "casc"
	setupWizard = "wizard"
)

// hashedPassword is what Jenkins accepts as a hash (HudsonPrivateSecurityRealm): bcrypt of the 2a kind only. With another
// kind it does not start either.
var hashedPassword = regexp.MustCompile(`^#jbcrypt:(\$2a\$[0-9]{2}\$[./A-Za-z0-9]{53})$`)

// jobName is what the stand-in serves under /job/NAME and uses as a folder's name. Folders of jobs are not served.
var jobName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._ -]*$`)

var (
	quotedBlock = regexp.MustCompile(`(?s)'''.*?'''|""".*?"""`)
	fileCall    = regexp.MustCompile(`new File\(\s*['"](/[^'"]+)['"]\s*\)`)
	jobCall     = regexp.MustCompile(`(?m)^\s*(?:pipelineJob|multibranchPipelineJob|freeStyleJob|job)\s*\(\s*(?:'([^']*)'|"([^"]*)")`)
)

// Settings is what configuration as code, or the wizard's first start, says.
type Settings struct {
	Setup    string
	Accounts map[string][]byte // user id -> bcrypt hash
	Jobs     []string          // in the order seeded, without duplicates
	Remote   bool              // the sample is the one for an engine that can't see the workspace
}

// cascFile is the part of a configuration-as-code file that the stand-in reads.
type cascFile struct {
	Jenkins struct {
		SecurityRealm struct {
			Local struct {
				Users []struct {
					ID       string `yaml:"id"`
					Password string `yaml:"password"`
				} `yaml:"users"`
			} `yaml:"local"`
		} `yaml:"securityRealm"`
	} `yaml:"jenkins"`
	Jobs []struct {
		Script string `yaml:"script"`
		File   string `yaml:"file"`
	} `yaml:"jobs"`
}

// ReadSettings reads the files that `sources` (comma-separated files or folders, as CASC_JENKINS_CONFIG holds them)
// names, and the job definitions that the start scripts in `reference` (Jenkins' image has it at /usr/share/jenkins/ref)
// run. With no sources it is the wizard's way: the user `admin` with a password generated once.
func ReadSettings(home, sources, reference string) (Settings, error) {
	if strings.TrimSpace(sources) == "" {
		hash, err := initialPassword(home)
		return Settings{Setup: setupWizard, Accounts: map[string][]byte{"admin": hash}}, err
	}
	settings := Settings{Setup: setupCasc, Accounts: map[string][]byte{}}
	paths, err := cascPaths(sources)
	if err != nil {
		return settings, err
	}
	for _, path := range paths {
		if err := settings.read(path); err != nil {
			return settings, fmt.Errorf("configuration as code, %s: %w", path, err)
		}
	}
	if len(settings.Accounts) == 0 {
		return settings, fmt.Errorf("configuration as code in %s names no user; "+
			"add jenkins.securityRealm.local.users with an id and a '#jbcrypt:' password", sources)
	}
	return settings, settings.readHooks(reference)
}

// readHooks takes the jobs from the job-dsl files that scripts in init.groovy.d name. Jenkins runs those scripts once it
// is configured; the stand-in only looks for `new File('...')` in them.
func (settings *Settings) readHooks(reference string) error {
	hooks, err := filepath.Glob(filepath.Join(reference, "init.groovy.d", "*.groovy*"))
	if err != nil {
		return err
	}
	for _, hook := range hooks {
		script, err := os.ReadFile(hook)
		if err != nil {
			return err
		}
		for _, match := range fileCall.FindAllSubmatch(script, -1) {
			path := string(match[1])
			definitions, err := os.ReadFile(path)
			if err != nil {
				return fmt.Errorf("%s: %w", hook, err)
			}
			settings.addJobs(string(definitions))
		}
	}
	return nil
}

// cascPaths lists *.yaml and *.yml of each source in Jenkins' order: sorted, hidden files left out.
func cascPaths(sources string) ([]string, error) {
	var paths []string
	for source := range strings.SplitSeq(sources, ",") {
		source = strings.TrimSpace(source)
		info, err := os.Stat(source)
		if err != nil {
			return nil, fmt.Errorf("CASC_JENKINS_CONFIG: %w", err)
		}
		if !info.IsDir() {
			paths = append(paths, source)
			continue
		}
		var found []string
		err = filepath.WalkDir(source, func(path string, entry fs.DirEntry, err error) error {
			extension := strings.ToLower(filepath.Ext(path))
			if err == nil && !entry.IsDir() && !strings.HasPrefix(entry.Name(), ".") &&
				(extension == ".yaml" || extension == ".yml") {
				found = append(found, path)
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("CASC_JENKINS_CONFIG: %w", err)
		}
		slices.Sort(found)
		paths = append(paths, found...)
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("CASC_JENKINS_CONFIG: no *.yaml file in %s", sources)
	}
	return paths, nil
}

func (settings *Settings) read(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var file cascFile
	if err := yaml.Unmarshal(text, &file); err != nil {
		return errors.New("not valid YAML, or a key of an unexpected kind") // the parser's words could quote a secret
	}
	for _, user := range file.Jenkins.SecurityRealm.Local.Users {
		match := hashedPassword.FindStringSubmatch(user.Password)
		switch _, twice := settings.Accounts[user.ID]; {
		case user.ID == "":
			return errors.New("a user without an id")
		case twice:
			return fmt.Errorf("user %q is there twice", user.ID)
		case match == nil:
			return fmt.Errorf("the password of user %q is not '#jbcrypt:$2a$...', the only form taken here", user.ID)
		}
		settings.Accounts[user.ID] = []byte(match[1])
	}
	for _, seed := range file.Jobs {
		script := seed.Script
		if seed.File != "" {
			content, err := os.ReadFile(seed.File)
			if err != nil {
				return err
			}
			script = string(content)
		}
		settings.addJobs(script)
	}
	return nil
}

// addJobs takes the names from the calls of a job-dsl text; what stands inside a triple-quoted pipeline script is no job.
func (settings *Settings) addJobs(script string) {
	settings.Remote = settings.Remote || strings.Contains(script, "docker run --rm "+sampleImage)
	for _, match := range jobCall.FindAllStringSubmatch(quotedBlock.ReplaceAllString(script, "''"), -1) {
		name := match[1] + match[2]
		if !jobName.MatchString(name) {
			log.Printf("Job %q is left out: the stand-in serves plain names only, no folders.", name)
		} else if !slices.Contains(settings.Jobs, name) {
			settings.Jobs = append(settings.Jobs, name)
		}
	}
}

// initialPassword makes the wizard's password once, in the file that Jenkins uses, and returns its hash.
func initialPassword(home string) ([]byte, error) {
	path := filepath.Join(home, "secrets", "initialAdminPassword")
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		random := make([]byte, 16)
		_, _ = rand.Read(random) // never fails: see crypto/rand
		text = []byte(hex.EncodeToString(random) + "\n")
		if err = os.MkdirAll(filepath.Dir(path), 0o700); err == nil {
			err = writeWhole(path, text, 0o600)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("the first password, %s: %w", path, err)
	}
	return bcrypt.GenerateFromPassword([]byte(strings.TrimSpace(string(text))), bcrypt.DefaultCost)
}

// writeWhole writes a file so that a reader, or a crash, sees the old content or the new and nothing between.
func writeWhole(path string, content []byte, mode os.FileMode) error {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }() // gone already once renamed
	_, err = file.Write(content)
	if err == nil {
		err = file.Chmod(mode)
	}
	if err == nil {
		err = file.Sync()
	}
	if closing := file.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	return err
}
