package kubeapi

// hideTokens runs the API server, whose audit events are its standard output,
// and writes them to the file that is named first: a review has the token that
// it is about, and a log must have none. What is killed is the whole group.
const hideTokens = `"$@" | sed -u '` + HideTokens + `' > "$0"`

// HideTokens is what sed does to a line of an audit log that leaves the machine
// of its API server.
const HideTokens = `s/"token":"[^"]*"/"token":"(hidden)"/g`

// AuditPolicy is the policy of an API server's audit log, YAML.
const AuditPolicy = auditPolicy

// auditPolicy writes down whole what identities and policies are made of, and
// of everything else that somebody asked. Reads of programs of the control plane,
// of which there are thousands, are left out; those of accounts are not.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  users: ["system:apiserver"]
- level: None
  userGroups: ["system:serviceaccounts:kube-system"]
  verbs: [get, list, watch]
- level: Metadata
  userGroups: ["system:serviceaccounts"]
  verbs: [get, list]
- level: None
  verbs: [get, list, watch]
- level: None
  resources:
  - {group: coordination.k8s.io, resources: [leases]}
  - {group: apiextensions.k8s.io}
- level: RequestResponse
  resources:
  - {group: authentication.k8s.io, resources: [tokenreviews]}
  - {group: "", resources: [serviceaccounts/token]}
  - {group: rbac.authorization.k8s.io}
  - {group: security.istio.io}
  - {group: networking.istio.io}
- level: Metadata
`
