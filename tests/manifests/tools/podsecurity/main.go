// Reads pods as JSON, [{"metadata": {...}, "spec": {...}}, ...], and writes what each of them violates of the Pod Security
// Standards, level by level: [{"baseline": ["check: what: details"], "restricted": [...]}, ...]. A check is named as the
// library names it: seccompProfile_baseline.
//
//	podsecurity VERSION     the standards as that release of Kubernetes has them: v1.29, or latest
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

var levels = []api.Level{api.LevelBaseline, api.LevelRestricted}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "podsecurity:", err)
		os.Exit(1)
	}
}

func run(words []string) error {
	if len(words) != 1 {
		return errors.New("give one version: v1.29, or latest")
	}
	version, err := api.ParseVersion(words[0])
	if err != nil {
		return err
	}
	var pods []corev1.Pod
	decoder := json.NewDecoder(os.Stdin)
	// A misspelt field would be passed over, and the pod be judged without it.
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&pods); err != nil {
		return fmt.Errorf("the pods can't be read: %w", err)
	}
	evaluator, err := policy.NewEvaluator(named(policy.DefaultChecks()), nil)
	if err != nil {
		return err
	}
	verdicts := make([]map[api.Level][]string, len(pods))
	for place, pod := range pods {
		verdicts[place] = map[api.Level][]string{}
		for _, level := range levels {
			results := evaluator.EvaluatePod(api.LevelVersion{Level: level, Version: version}, &pod.ObjectMeta, &pod.Spec)
			verdicts[place][level] = violated(results)
		}
	}
	return json.NewEncoder(os.Stdout).Encode(verdicts)
}

// named makes every check tell its name with its reason; by itself the library tells only the reason.
func named(checks []policy.Check) []policy.Check {
	for i := range checks {
		for j := range checks[i].Versions {
			check, id := checks[i].Versions[j].CheckPod, string(checks[i].ID)
			checks[i].Versions[j].CheckPod = func(meta *metav1.ObjectMeta, spec *corev1.PodSpec) policy.CheckResult {
				result := check(meta, spec)
				result.ForbiddenReason = id + ": " + result.ForbiddenReason
				return result
			}
		}
	}
	return checks
}

func violated(results []policy.CheckResult) []string {
	found := []string{}
	for _, result := range results {
		if !result.Allowed {
			found = append(found, result.ForbiddenReason+": "+result.ForbiddenDetail)
		}
	}
	slices.Sort(found)
	return found
}
