package kubeapi

// auditPolicy writes down whole what identities and policies are made of, and
// of everything else that somebody asked. Reads of the API server itself, of
// which there are thousands, are left out.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  users: ["system:apiserver"]
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
