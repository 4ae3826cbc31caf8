package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/meshbreach/meshbreach/clusters/builtin"
	"github.com/meshbreach/meshbreach/clusters/meshes"
)

// meshPage is the page of all meshes, as they describe themselves.
func meshPage() []byte {
	var b strings.Builder
	b.WriteString(`# Meshes

What each mesh says of itself in ` + "`Describe`" + `. Generated; edit ` + "`clusters/meshes/*/describe.go`" + `.

| mesh | is | providers | programs | images | proxy | its certificate authority speaks | identities |
|---|---|---|---|---|---|---|---|
`)
	all := builtin.Meshes()
	for _, m := range all {
		d := m.Describe()
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s | %s | %s |\n", d.Name, d.Title,
			words(d.Providers), words(d.Programs), words(d.Images.Names), or(d.Proxy.Name), or(d.Protocol), or(string(d.Identity)))
	}
	b.WriteString("\n## Capabilities\n\nAn attempt that needs more than a mesh can do is `unsupported` there. Some depend on the provider as well.\n\n| mesh |")
	for _, c := range meshes.Capabilities() {
		fmt.Fprintf(&b, " %s |", c)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(meshes.Capabilities())) + "\n")
	for _, m := range all {
		d := m.Describe()
		fmt.Fprintf(&b, "| `%s` |", d.Name)
		can := d.Can(meshes.Release{})
		for _, c := range meshes.Capabilities() {
			if slices.Contains(can, c) {
				b.WriteString(" yes |")
			} else {
				b.WriteString(" no |")
			}
		}
		b.WriteString("\n")
	}
	b.WriteString("\n## What is made for a whole cluster\n\nOn provider `existing`, outside of the namespaces of a run. `--dry-run` prints the objects.\n")
	for _, m := range all {
		d := m.Describe()
		if len(d.ClusterWide)+len(d.Admission) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n### `%s`\n\n", d.Name)
		for _, line := range d.ClusterWide {
			fmt.Fprintf(&b, "- %s\n", line)
		}
		for _, line := range d.Admission {
			fmt.Fprintf(&b, "- only with scenarios that submit objects to the platform: %s\n", line)
		}
	}
	return []byte(b.String())
}

func words(list []string) string {
	if len(list) == 0 {
		return "-"
	}
	return "`" + strings.Join(list, "`, `") + "`"
}

func or(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
