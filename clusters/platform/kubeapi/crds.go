package kubeapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// nameOf finds a definition's own name: the first below its metadata.
var nameOf = regexp.MustCompile(`(?m)^metadata:\n(?:  .*\n)*?  name: (\S+)$`)

// Define makes custom resources from a stream of YAML documents, and returns
// when the API serves them. The API reads the YAML itself.
func (c *Client) Define(ctx context.Context, stream string) error {
	var g errgroup.Group
	found := 0
	for _, doc := range strings.Split("\n"+stream, "\n---") {
		if !strings.Contains(doc, "kind: CustomResourceDefinition") {
			continue
		}
		m := nameOf.FindStringSubmatch(doc)
		if m == nil {
			return errors.New("define custom resources: a document has no name")
		}
		found++
		g.Go(func() error { return c.define(ctx, m[1], doc) })
	}
	if found == 0 {
		return errors.New("define custom resources: there are none in the stream")
	}
	return g.Wait()
}

const definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

func (c *Client) define(ctx context.Context, name, doc string) error {
	err := c.send(ctx, http.MethodPost, definitions, "application/yaml", []byte(doc), nil)
	var no *StatusError
	if err != nil && (!errors.As(err, &no) || no.Code != http.StatusConflict) {
		return fmt.Errorf("define %s: %w", name, err)
	}
	tick := time.NewTicker(readyEvery)
	defer tick.Stop()
	for {
		var d struct {
			Status struct {
				Conditions []struct{ Type, Status string }
			}
		}
		if err := c.send(ctx, http.MethodGet, definitions+"/"+name, "", nil, &d); err != nil {
			return fmt.Errorf("define %s: %w", name, err)
		}
		for _, cond := range d.Status.Conditions {
			if cond.Type == "Established" && cond.Status == "True" {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("define %s: it is not served yet: %w", name, context.Cause(ctx))
		}
	}
}
