package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/meshbreach/meshbreach/clusters/builtin"
)

// probe is where TestMain had the probe built; Envoy is where it was found,
// empty where it was not.
const (
	probeVariable = "MESHBREACH_TEST_PROBE"
	envoyVariable = "MESHBREACH_ENVOY"
)

func TestMain(m *testing.M) {
	// The test binary, run under its own name, is meshbreach; so is the inner
	// process of a run, which keeps that name.
	testscript.Main(prepared{m}, map[string]func(){"meshbreach": main})
}

type prepared struct{ m *testing.M }

// Run builds the probe, which the scripts start, where nobody says that it is
// there, and finds Envoy where there is one.
func (p prepared) Run() int {
	dir, err := os.MkdirTemp("", "meshbreach-script-")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if os.Getenv(probeVariable) == "" {
		probe := filepath.Join(dir, "probe")
		build := exec.Command("go", "build", "-o", probe, "../probe")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			panic(string(out))
		}
		if err := os.Setenv(probeVariable, probe); err != nil {
			panic(err)
		}
	}
	if r, err := builtin.Release(context.Background(), "envoy"); err == nil {
		if err := os.Setenv(envoyVariable, r.Programs["envoy"]); err != nil {
			panic(err)
		}
	}
	return p.m.Run()
}

func TestTheCommandLineDoesWhatItsManualSays(t *testing.T) {
	stored, err := filepath.Abs(filepath.Join("testdata", "stored.report.json"))
	if err != nil {
		t.Fatal(err)
	}
	registry := hub(t, os.Getenv(envoyVariable))
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			self, err := exec.LookPath("meshbreach")
			if err != nil {
				return err
			}
			e.Setenv("PROBE", os.Getenv(probeVariable))
			e.Setenv("ENVOY", os.Getenv(envoyVariable))
			e.Setenv("STORED", stored)
			e.Setenv("HUB", registry)
			e.Setenv("BIN", filepath.Dir(self)) // has meshbreach and nothing else
			e.Setenv("NO_COLOR", "1")
			// Whether this machine has an engine must not decide what a script says.
			e.Setenv("DOCKER_HOST", "unix://"+filepath.Join(e.WorkDir, "no-engine.sock"))
			return nil
		},
		Condition: condition,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"validates": validates,
			"exits":     exits,
			"replace":   replace,
		},
	})
}

func condition(name string) (bool, error) {
	switch name {
	case "envoy":
		return os.Getenv(envoyVariable) != "", nil
	case "namespaces": // this machine lets us make them, and forbid them to a child
		if runtime.GOOS != "linux" {
			return false, nil
		}
		return exec.Command("unshare", "-U", "-r", "sh", "-c", "echo 0 > /proc/sys/user/max_user_namespaces").Run() == nil, nil
	case "root":
		return os.Geteuid() == 0, nil
	}
	return false, nil
}

// exits runs a command that has to end with exactly that exit code, and stays
// quiet about it: exits 2 meshbreach lint bad.yaml. Then stdout and stderr can
// be looked at as after exec.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits code program args...")
	}
	script := `"$@" >"$0/out" 2>"$0/err"; echo $? >"$0/code"`
	dir := ts.MkAbs(".")
	ts.Check(ts.Exec("sh", append([]string{"-c", script, dir}, args[1:]...)...))
	code := strings.TrimSpace(ts.ReadFile("code"))
	ts.Logf("%s[exit %s]\n%s%s", "", code, ts.ReadFile("out"), ts.ReadFile("err"))
	if code != args[0] {
		ts.Fatalf("exit %s, want %s", code, args[0])
	}
}

// replace changes a text in a file that has it: replace old new file.
func replace(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: replace old new file")
	}
	was := ts.ReadFile(args[2])
	is := strings.ReplaceAll(was, args[0], args[1])
	if was == is {
		ts.Fatalf("%s has no %q", args[2], args[0])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(is), 0o644))
}

// validates checks a JSON file against a JSON Schema: validates schema file.
func validates(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: validates schema file")
	}
	c := jsonschema.NewCompiler()
	schema, err := jsonschema.UnmarshalJSON(strings.NewReader(ts.ReadFile(args[0])))
	ts.Check(err)
	ts.Check(c.AddResource("schema.json", schema))
	s, err := c.Compile("schema.json")
	ts.Check(err)
	var v any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &v))
	err = s.Validate(v)
	if neg == (err == nil) {
		ts.Fatalf("%s against %s: %v", args[1], args[0], err)
	}
}
