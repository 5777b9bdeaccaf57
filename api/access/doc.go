// Package access decides who a client of the API is and what it may do, by upstream's own rules: client certificates of the
// cluster's authority and tokens of ServiceAccounts, and Roles of the repository beside those that every cluster has.
package access
