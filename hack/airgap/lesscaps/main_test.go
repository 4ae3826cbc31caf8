package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func TestOnlyCapabilitiesThatTheMachineLacksAreTakenAway(t *testing.T) {
	const asked = `{"ociVersion":"1.2.0","process":{"capabilities":{"bounding":["CAP_CHOWN","CAP_SYS_RESOURCE"],"effective":["CAP_SYS_RESOURCE"]},"rlimits":[{"hard":18446744073709551615}]}}`
	for name, spec := range map[string]string{
		"a new container": asked,
		"a process":       strings.TrimSuffix(strings.TrimPrefix(asked, `{"ociVersion":"1.2.0","process":`), "}"),
	} {
		got, err := without([]byte(spec), []string{"CAP_SYS_RESOURCE"})
		if err != nil {
			t.Fatal(err)
		}
		if want := strings.NewReplacer(`,"CAP_SYS_RESOURCE"`, "", `"CAP_SYS_RESOURCE"`, "").Replace(spec); string(got) != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
		if same, err := without([]byte(spec), nil); err != nil || string(same) != spec {
			t.Errorf("%s: nothing is lacking, but it became %s, %v", name, same, err)
		}
	}
}

func TestAProcessWithoutCapabilitiesStaysAsItIs(t *testing.T) {
	got, err := without([]byte(`{"args":["true"]}`), []string{"CAP_SYS_RESOURCE"})
	if err != nil || !json.Valid(got) || string(got) != `{"args":["true"]}` {
		t.Errorf("%s, %v", got, err)
	}
	if _, err := without([]byte(`{} {}`), nil); err == nil {
		t.Error("two specs were one")
	}
}

func TestEveryWayToNameASpecIsKnown(t *testing.T) {
	for args, want := range map[string]string{
		"--root /r create --bundle /b id":  "/b/config.json",
		"create --bundle=/b id":            "/b/config.json",
		"run -b /b id":                     "/b/config.json",
		"exec --process /p.json id":        "/p.json",
		"exec --process=/p.json -d id":     "/p.json",
		"exec -p /p.json id":               "/p.json",
		"--root /r state id":               "",
		"kill --all id 9":                  "",
		"create --pid-file /x --bundle /b": "/b/config.json",
	} {
		got := specs(strings.Fields(args))
		if strings.Join(got, " ") != want || (want != "" && !slices.Contains(got, want)) {
			t.Errorf("%s: %q", args, got)
		}
	}
}
