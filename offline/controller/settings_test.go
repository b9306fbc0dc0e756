package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// hash2a is bcrypt of "abcdefghijkl" at cost 4, in the one form that Jenkins takes for a hash.
func hash2a(t *testing.T) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte("abcdefghijkl"), bcrypt.MinCost)
	must(t, err)
	return string(hash)
}

func casc(user, password, script string) string {
	return "jenkins:\n  numExecutors: 1\n  securityRealm:\n    local:\n      allowsSignup: false\n      users:\n" +
		"        - id: " + user + "\n          password: \"" + password + "\"\n" +
		"jobs:\n  - script: |\n      " + strings.ReplaceAll(script, "\n", "\n      ") + "\n"
}

func TestAFolderOfConfigurationFilesIsReadAsOne(t *testing.T) {
	folder := t.TempDir()
	write(t, filepath.Join(folder, "b.yaml"), casc("admin", "#jbcrypt:"+hash2a(t), "pipelineJob('sample') {\n}"))
	write(t, filepath.Join(folder, "sub", "c.yml"), "jobs:\n  - script: pipelineJob(\"app one\")\n")
	write(t, filepath.Join(folder, ".hidden.yaml"), "not: [valid")
	write(t, filepath.Join(folder, "notes.txt"), "not: [valid")
	settings, err := ReadSettings(t.TempDir(), folder, "")
	must(t, err)
	if settings.Setup != setupCasc || !slices.Equal(settings.Jobs, []string{"sample", "app one"}) {
		t.Errorf("setup %q, jobs %q", settings.Setup, settings.Jobs)
	}
	if bcrypt.CompareHashAndPassword(settings.Accounts["admin"], []byte("abcdefghijkl")) != nil {
		t.Error("the account's hash is not the one of the file")
	}
}

func TestJobNamesAreTakenFromCallsAndNotFromPipelineTexts(t *testing.T) {
	for name, row := range map[string]struct {
		script string
		jobs   []string
	}{
		"single quotes":             {"pipelineJob('sample') {}", []string{"sample"}},
		"double quotes and spaces":  {"  pipelineJob ( \"sample\" ) {}", []string{"sample"}},
		"several, and a repetition": {"job('a')\nfreeStyleJob('b')\njob('a')", []string{"a", "b"}},
		"a pipeline's own text": {
			"pipelineJob('a') { definition { cps { script('''\npipelineJob('inner')\njob('x')\n''') } } }", []string{"a"},
		},
		"a folder is left out":  {"pipelineJob('team/app')", nil},
		"a way out of the home": {"pipelineJob('../../etc')", nil},
		"a comment":             {"// pipelineJob('a')", nil},
		"nothing":               {"println 'hello'", nil},
	} {
		t.Run(name, func(t *testing.T) {
			var settings Settings
			settings.addJobs(row.script)
			if !slices.Equal(settings.Jobs, row.jobs) {
				t.Errorf("got %q, want %q", settings.Jobs, row.jobs)
			}
		})
	}
}

func TestWhatJenkinsCouldNotLogInWithIsRefused(t *testing.T) {
	for name, row := range map[string]struct{ text, says string }{
		"a clear password":      {casc("admin", "abcdefghijkl", ""), `the password of user "admin" is not '#jbcrypt:`},
		"the 2b kind of bcrypt": {casc("admin", "#jbcrypt:"+strings.Replace(hash2a(t), "$2a$", "$2b$", 1), ""), "#jbcrypt:$2a$"},
		"a hash cut short":      {casc("admin", "#jbcrypt:"+hash2a(t)[:40], ""), "#jbcrypt:$2a$"},
		"no id":                 {casc("", "#jbcrypt:"+hash2a(t), ""), "without an id"},
		"no user":               {"jenkins: {}\n", "names no user"},
		"broken YAML":           {"jenkins: [abcdefghijkl", "not valid YAML"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ReadSettings(t.TempDir(), write(t, filepath.Join(t.TempDir(), "jenkins.yaml"), row.text), "")
			if err == nil || !strings.Contains(err.Error(), row.says) {
				t.Fatalf("got %v, want %q in it", err, row.says)
			}
			if strings.Contains(err.Error(), "abcdefghijkl") || strings.Contains(err.Error(), hash2a(t)[7:]) {
				t.Errorf("the message shows the secret: %v", err)
			}
		})
	}
}

func TestSourcesThatHoldNothingAreNamed(t *testing.T) {
	empty := t.TempDir()
	for _, source := range []string{empty, filepath.Join(empty, "missing")} {
		if _, err := ReadSettings(t.TempDir(), source, ""); err == nil || !strings.Contains(err.Error(), source) {
			t.Errorf("%s: got %v", source, err)
		}
	}
}

func TestTheWizardsPasswordIsMadeOnceAndOnlyItsOwnerReadsIt(t *testing.T) {
	home := t.TempDir()
	first, err := ReadSettings(home, "", "")
	must(t, err)
	path := filepath.Join(home, "secrets", "initialAdminPassword")
	text, err := os.ReadFile(path)
	must(t, err)
	if len(text) != 33 || strings.Trim(string(text), "0123456789abcdef") != "\n" {
		t.Errorf("want 32 hex digits and a line end, got %d bytes", len(text))
	}
	info, err := os.Stat(path)
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %o", info.Mode().Perm())
	}
	second, err := ReadSettings(home, "", "")
	must(t, err)
	for _, settings := range []Settings{first, second} {
		if settings.Setup != setupWizard || len(settings.Jobs) != 0 {
			t.Errorf("setup %q, jobs %q", settings.Setup, settings.Jobs)
		}
		if bcrypt.CompareHashAndPassword(settings.Accounts["admin"], text[:32]) != nil {
			t.Error("the password of the file does not log in")
		}
	}
}

func TestJobsComeAlsoFromTheFilesThatStartScriptsRun(t *testing.T) {
	reference := t.TempDir()
	definitions := write(t, filepath.Join(reference, "jobs.groovy"), "// by the stack\npipelineJob('sample') {\n}\npipelineJob('app') {\n}\n")
	hook := write(t, filepath.Join(reference, "init.groovy.d", "jobs.groovy.override"),
		"new Loader(new Management(System.out, [:], new File('.'))).runScript(new File('"+definitions+"').getText('UTF-8'))")
	source := write(t, filepath.Join(t.TempDir(), "jenkins.yaml"), casc("admin", "#jbcrypt:"+hash2a(t), ""))
	settings, err := ReadSettings(t.TempDir(), source, reference)
	must(t, err)
	if !slices.Equal(settings.Jobs, []string{"sample", "app"}) {
		t.Errorf("jobs %q", settings.Jobs)
	}
	must(t, os.Remove(definitions))
	if _, err := ReadSettings(t.TempDir(), source, reference); err == nil || !strings.Contains(err.Error(), hook) {
		t.Errorf("a missing file: %v", err)
	}
}
