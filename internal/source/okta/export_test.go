package okta

// KindWith is the kind with a clock of its own.
var KindWith = kindWith
