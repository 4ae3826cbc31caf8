package kind

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/google/go-containerregistry/pkg/name"
	"golang.org/x/sync/errgroup"
	"sigs.k8s.io/kind/pkg/cluster/nodes"
	"sigs.k8s.io/kind/pkg/cluster/nodeutils"
)

// Load gives every node images. The engine pulls those that neither it nor a node
// has, once for all nodes and runs; what it cannot pull is left to the nodes,
// which may reach more. What a node has already, in the same making, is not sent
// again.
func (k *cluster) Load(ctx context.Context, refs ...string) error {
	ids := make([]string, len(refs))
	held := make([]map[string]string, len(k.nodes))
	g, gctx := errgroup.WithContext(ctx)
	for i, ref := range refs {
		g.Go(func() (err error) {
			ids[i], err = engine{}.imageID(gctx, ref)
			return err
		})
	}
	for i, n := range k.nodes {
		g.Go(func() (err error) {
			held[i], err = images(gctx, n)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i, ref := range refs {
		there := func(node map[string]string) bool { return node[full(ref)] != "" }
		if ids[i] == "" && !slices.ContainsFunc(held, there) {
			var err error
			if ids[i], err = k.pulled(ctx, ref); err != nil {
				return err
			}
		}
	}
	var send []string
	into := map[nodes.Node]bool{}
	for i, ref := range refs {
		wanted := false
		for j, n := range k.nodes {
			if ids[i] != "" && !holds(held[j], ref, ids[i]) {
				wanted, into[n] = true, true
			}
		}
		if wanted {
			send = append(send, ref)
		}
	}
	if len(send) == 0 {
		return nil
	}
	return k.send(ctx, into, func(w io.Writer) error {
		cmd := engine{}.command(ctx, append([]string{"save"}, send...)...)
		var complaint strings.Builder
		cmd.Stdout, cmd.Stderr = w, &complaint
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("save %s: %w: %s", strings.Join(send, ", "), err, lastLine(complaint.String()))
		}
		return nil
	})
}

// pulled is the id of an image that the engine has now; empty where it could not
// be pulled.
func (k *cluster) pulled(ctx context.Context, ref string) (string, error) {
	k.tell("pulling image " + ref)
	if _, err := (engine{}).run(ctx, "pull", "--quiet", ref); err != nil {
		if ctx.Err() != nil {
			return "", fmt.Errorf("pull image %s: %w", ref, context.Cause(ctx))
		}
		k.tell(fmt.Sprintf("the container engine cannot pull %s, so the nodes will have to: %v", ref, err))
		return "", nil
	}
	return engine{}.imageID(ctx, ref)
}

// loadArchive gives every node an image whose reference names its content.
func (k *cluster) loadArchive(ctx context.Context, ref, file string) error {
	into := map[nodes.Node]bool{}
	var mu sync.Mutex
	g, gctx := errgroup.WithContext(ctx)
	for _, n := range k.nodes {
		g.Go(func() error {
			held, err := images(gctx, n)
			mu.Lock()
			defer mu.Unlock()
			if held[ref] == "" {
				into[n] = true
			}
			return err
		})
	}
	if err := g.Wait(); err != nil || len(into) == 0 {
		return err
	}
	return k.send(ctx, into, func(w io.Writer) error {
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }() // nothing was written
		_, err = io.Copy(w, f)
		return err
	})
}

// send writes an archive of images into nodes, all at once.
func (k *cluster) send(ctx context.Context, into map[nodes.Node]bool, write func(io.Writer) error) error {
	var g errgroup.Group
	var writers []io.Writer
	var ends []*io.PipeWriter
	var written, broken atomic.Bool
	for n := range into {
		r, w := io.Pipe()
		writers, ends = append(writers, w), append(ends, w)
		g.Go(func() error {
			err := nodeutils.LoadImageArchive(n, r)
			// Whoever failed first is the reason why the other did.
			broken.CompareAndSwap(false, err != nil && !written.Load())
			_ = r.CloseWithError(errors.New("the node accepts no more data"))
			if err != nil {
				return fmt.Errorf("load images into %s: %w", n, explained(err))
			}
			return nil
		})
	}
	end := func(err error) {
		for _, w := range ends {
			_ = w.CloseWithError(err) // nil is the regular end
		}
	}
	defer context.AfterFunc(ctx, func() { end(context.Cause(ctx)) })()
	err := write(io.MultiWriter(writers...))
	written.Store(true)
	end(err)
	loaded := g.Wait()
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("load images: %w", context.Cause(ctx))
	case err != nil && !broken.Load():
		return fmt.Errorf("load images: %w", err)
	}
	return loaded
}

// images are the digests of what a node's runtime has, by name. An image has
// several names, and one of them is the engine's own.
func images(ctx context.Context, n nodes.Node) (map[string]string, error) {
	out, err := engine{}.run(ctx, "exec", n.String(), "ctr", "--namespace", "k8s.io", "images", "list")
	if err != nil {
		return nil, fmt.Errorf("list the images of %s: %w", n, err)
	}
	held := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if fields := strings.Fields(line); len(fields) > 2 {
			held[fields[0]] = fields[2]
		}
	}
	return held, nil
}

// holds says whether a node has an image as the engine knows it: by the digest
// of its configuration, or, with newer stores, by that of its manifest.
func holds(held map[string]string, ref, id string) bool {
	digest := held[full(ref)]
	return digest != "" && (digest == id || digest == held[id])
}

// full is a reference as a node's runtime writes it.
func full(ref string) string {
	parsed, err := name.ParseReference(ref)
	if err != nil {
		return ref
	}
	return strings.Replace(parsed.Name(), name.DefaultRegistry+"/", "docker.io/", 1)
}
