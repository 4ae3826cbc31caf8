package existing_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meshbreach/meshbreach/attacker/session"
	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/platform/kubernetes"
	"github.com/meshbreach/meshbreach/clusters/providers/existing"
)

// options are those of a run on the real cluster. MESHBREACH_TEST_IMAGE names
// an image of the probe that its nodes have.
func (b *bed) options(notes *[]string) existing.Options {
	image := os.Getenv("MESHBREACH_TEST_IMAGE")
	if image == "" {
		image = "registry.test/never-started:1"
	}
	return existing.Options{
		Kubeconfig: b.kubeconfig, Context: "bound", Image: image,
		Note: func(line string) { *notes = append(*notes, line) },
	}
}

// spaces are the namespaces of a run that are there, as the administrator sees
// them.
func (b *bed) spaces(t *testing.T, run string) []string {
	t.Helper()
	list, err := b.kube.CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{LabelSelector: kubernetes.LabelRun + "=" + run})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, ns := range list.Items {
		names = append(names, ns.Name)
	}
	return names
}

func TestARealClusterIsAttackedOnlyWithItsLabel(t *testing.T) {
	b := realBed(t)
	var notes []string
	p := existing.Provider{Options: b.options(&notes)}
	spec := clusters.Spec{Name: runName(), Ranges: 1}

	b.consent(t, "")
	_, err := p.Up(t.Context(), spec)
	var no *existing.NoConsentError
	if !errors.As(err, &no) || len(notes) != 0 || len(b.spaces(t, spec.Name)) != 0 {
		t.Fatalf("without the label: %v, notes %q, namespaces %q", err, notes, b.spaces(t, spec.Name))
	}

	b.consent(t, existing.ConsentValue)
	c, err := p.Up(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range b.spaces(t, spec.Name) {
		if !slices.ContainsFunc(notes, func(line string) bool { return strings.HasPrefix(line, "  namespace "+name+",") }) {
			t.Errorf("%s was made and not announced: %q", name, notes)
		}
	}
	if made := b.spaces(t, spec.Name); len(made) != 4 {
		t.Errorf("namespaces %q", made)
	}
	b.undo(t, c)
	if left := b.spaces(t, spec.Name); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
}

func (b *bed) undo(t *testing.T, c *clusters.Cluster) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := c.Undo.Run(ctx); err != nil {
		t.Errorf("undo: %v", err)
	}
}

func TestTheShippedRoleAloneLetsProbesLiveAndAnswer(t *testing.T) {
	b := realBed(t)
	if os.Getenv("MESHBREACH_TEST_IMAGE") == "" {
		t.Skip("MESHBREACH_TEST_IMAGE names no image of the probe that the nodes have")
	}
	b.consent(t, existing.ConsentValue)
	var notes []string
	c, err := existing.Provider{Options: b.options(&notes)}.Up(t.Context(), clusters.Spec{Name: runName(), Ranges: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer b.undo(t, c)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	h, ok := c.Host.(*kubernetes.Host)
	if !ok {
		t.Fatalf("the host is a %T", c.Host)
	}
	if err := h.Launch(ctx, &c.Ranges[0], nil); err != nil {
		t.Fatal(err)
	}
	b.as(t, c.Name, planned(t, b.options(&notes).Image, c.Name))
	for _, w := range c.Ranges[0].Workloads {
		stream, err := h.Stream(ctx, w)
		if err != nil {
			t.Fatal(err)
		}
		client := session.Connect(stream)
		if _, err := client.Hello(ctx); err != nil {
			t.Errorf("probe of %s: %v", w.Name, err)
		}
		_ = client.Close()
	}
}

func TestRightsThatAreTakenAwayInTheMiddleLeaveAWayToCleanUp(t *testing.T) {
	b := realBed(t)
	b.consent(t, existing.ConsentValue)
	var notes []string
	o := b.options(&notes)
	spec := clusters.Spec{Name: runName(), Ranges: 1}
	c, err := existing.Provider{Options: o}.Up(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	b.unbind(t)
	var no *existing.NoRightsError
	until(t, "the rights are gone", func() bool {
		_, err := existing.Provider{Options: o}.Ready(t.Context())
		return err != nil
	})

	err = c.Undo.Run(t.Context())
	if err == nil {
		t.Fatal("nothing could be undone, and nothing is said")
	}
	said := err.Error()
	for _, name := range b.spaces(t, spec.Name) {
		if !strings.Contains(said, name) {
			t.Errorf("%s is left and not said: %s", name, said)
		}
	}
	if want := "meshbreach down --kubeconfig " + b.kubeconfig + " --context bound " + spec.Name; !strings.Contains(said, want) {
		t.Errorf("%s does not say %s", said, want)
	}
	if err := existing.Down(t.Context(), o, spec.Name); !errors.As(err, &no) {
		t.Errorf("down without rights: %v", err)
	}

	b.bind(t)
	until(t, "the rights are back", func() bool {
		_, err := existing.Provider{Options: o}.Ready(t.Context())
		return err == nil
	})
	if err := existing.Down(t.Context(), o, spec.Name); err != nil {
		t.Fatal(err)
	}
	if left := b.spaces(t, spec.Name); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
}

func TestDownTellsEachThingAndLeavesOtherRunsAlone(t *testing.T) {
	b := realBed(t)
	b.consent(t, existing.ConsentValue)
	var notes []string
	o := b.options(&notes)
	mine, other := clusters.Spec{Name: runName(), Ranges: 1}, clusters.Spec{Name: runName(), Ranges: 1}
	for _, spec := range []clusters.Spec{mine, other} {
		c, err := existing.Provider{Options: o}.Up(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		defer b.undo(t, c)
	}
	made := b.spaces(t, mine.Name)
	notes = nil
	if err := existing.Down(t.Context(), o, mine.Name); err != nil {
		t.Fatal(err)
	}
	for _, name := range made {
		if !slices.ContainsFunc(notes, func(line string) bool { return strings.HasSuffix(line, name) }) {
			t.Errorf("%s was removed and not told: %q", name, notes)
		}
	}
	if i := slices.IndexFunc(notes, func(line string) bool { return strings.HasPrefix(line, kubernetes.NotLookedAt) }); i >= 0 {
		// The account has the role of a run without a mesh.
		for _, kind := range []string{"daemonsets", "namespaces", "pods"} {
			if strings.Contains(notes[i], kind) {
				t.Errorf("told of %s: %s", kind, notes[i])
			}
		}
	}
	if left := b.spaces(t, other.Name); len(left) != 4 {
		t.Errorf("of the other run there is %q", left)
	}
}

// planned are the objects that a run without a mesh says that it makes, as
// kind namespace/name.
func planned(t *testing.T, image, run string) []string {
	t.Helper()
	objects, err := kubernetes.Plan(image, clusters.Spec{Name: run, Ranges: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, o := range objects {
		if o["kind"] != "Namespace" {
			names = append(names, o.Text())
		}
	}
	slices.Sort(names)
	return names
}

// as is an error where what a run made is not as planned.
func (b *bed) as(t *testing.T, run string, planned []string) {
	t.Helper()
	of := metav1.ListOptions{LabelSelector: kubernetes.LabelRun + "=" + run}
	pods, err := b.kube.CoreV1().Pods("").List(t.Context(), of)
	services, err2 := b.kube.CoreV1().Services("").List(t.Context(), of)
	accounts, err3 := b.kube.CoreV1().ServiceAccounts("").List(t.Context(), of)
	leases, err4 := b.kube.CoordinationV1().Leases("").List(t.Context(), of)
	if err := errors.Join(err, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	var made []string
	for _, o := range leases.Items {
		made = append(made, "Lease "+o.Namespace+"/"+o.Name)
	}
	for _, o := range pods.Items {
		made = append(made, "Pod "+o.Namespace+"/"+o.Name)
	}
	for _, o := range services.Items {
		made = append(made, "Service "+o.Namespace+"/"+o.Name)
	}
	for _, o := range accounts.Items {
		made = append(made, "ServiceAccount "+o.Namespace+"/"+o.Name)
	}
	slices.Sort(made)
	if !slices.Equal(made, planned) {
		t.Errorf("made %q, planned %q", made, planned)
	}
}
