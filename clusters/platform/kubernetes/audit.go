package kubernetes

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// Where kubeadm puts what only the owner of a control-plane node can read.
const (
	fileAudit      = "/var/log/kubernetes/audit.log"
	fileAccountKey = "/etc/kubernetes/pki/sa.key"
)

// Audit gives every event of the API's audit log until the context ends.
// ErrNoNodes where there is none to be had.
func (h *Host) Audit(ctx context.Context, line func([]byte)) error {
	if h.nodes == nil {
		return fmt.Errorf("follow the audit log: %w", ErrNoNodes)
	}
	if err := h.nodes.Follow(ctx, fileAudit, line); err != nil && ctx.Err() == nil {
		return fmt.Errorf("follow the audit log: %w", err)
	}
	return nil
}

// AccountKey is the key that the API signs account tokens with; ErrNoNodes
// where it is not ours.
func (h *Host) AccountKey(ctx context.Context) (crypto.Signer, error) {
	if h.nodes == nil {
		return nil, fmt.Errorf("read the key of account tokens: %w", ErrNoNodes)
	}
	text, err := h.nodes.Read(ctx, fileAccountKey)
	if err != nil {
		return nil, fmt.Errorf("read the key of account tokens: %w", err)
	}
	key, err := signer(text)
	if err != nil {
		return nil, fmt.Errorf("read the key of account tokens: %w", err)
	}
	return key, nil
}

// signer reads a private key of any form that kubeadm ever wrote. Its errors
// say nothing of the text.
func signer(text []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("it is not PEM")
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
		if s, ok := key.(crypto.Signer); ok {
			return s, nil
		}
	}
	return nil, fmt.Errorf("%q is not a signing key", block.Type)
}
