package client

import (
	"context"
	"iter"
	"net/http"
	"time"
)

// Agent is a program in a customer's network through which the directory of one
// connection is reached.
type Agent struct {
	ID             string          `json:"id" doc:"The client ID."`
	Name           string          `json:"name"`
	Connection     string          `json:"connection"`
	Organization   string          `json:"organization"`
	Health         string          `json:"health" enum:"new,ok,failing,away,revoked" doc:"One word: new was never connected; ok is connected; failing is connected and says what is wrong; away is not connected."`
	Problem        *string         `json:"problem" doc:"What it says is wrong."`
	Version        *string         `json:"version" doc:"Of the program, as it last reported."`
	Kind           *string         `json:"kind" doc:"Of source, where its own file names one."`
	Policy         *Policy         `json:"policy,omitempty" doc:"As it last reported; absent before it connected for the first time."`
	SeenAt         *time.Time      `json:"seen_at" doc:"When it last was connected."`
	Nodes          []AgentPresence `json:"nodes" nullable:"false" doc:"The servers it is connected to."`
	OldSecretUntil *time.Time      `json:"old_secret_until" doc:"Until when the secret before is good as well."`
	CreatedAt      time.Time       `json:"created_at"`
	CreatedBy      string          `json:"created_by"`
	RotatedAt      *time.Time      `json:"rotated_at"`
	RevokedAt      *time.Time      `json:"revoked_at"`
	RevokedBy      *string         `json:"revoked_by"`
}

// AgentPresence is an agent's connection to one server.
type AgentPresence struct {
	Node    string    `json:"node"`
	Address string    `json:"address" doc:"It came from."`
	Version string    `json:"version"`
	Since   time.Time `json:"since"`
	SeenAt  time.Time `json:"seen_at"`
	Latency int64     `json:"latency_us" doc:"To it and back, in microseconds."`
	Problem *string   `json:"problem"`
}

// NewAgent is an agent with its secret.
type NewAgent struct {
	Agent
	Secret string `json:"secret" doc:"It is shown this once."`
}

// AgentInput asks for an agent.
type AgentInput struct {
	Name       string `json:"name" minLength:"1" maxLength:"100" doc:"Such as the name of the machine it runs on; another one for each agent of a connection."`
	Connection string `json:"connection" maxLength:"100" doc:"Whose directory it reaches."`
}

// AgentRotateInput asks for another secret.
type AgentRotateInput struct {
	OverlapSeconds *int `json:"overlap_seconds,omitempty" minimum:"0" maximum:"2592000" doc:"How long the secret before stays good; unless given it ends at once, and with it the agent's connection."`
}

// Policy is the switches of what a connection may do.
type Policy struct {
	DryRun                   bool `json:"dry-run"`
	NoCreate                 bool `json:"no-create"`
	NoUpdate                 bool `json:"no-update"`
	NoDelete                 bool `json:"no-delete"`
	DeleteDisables           bool `json:"delete-disables"`
	CreateAsDisabled         bool `json:"create-as-disabled"`
	NoUpdateProviderMismatch bool `json:"no-update-provider-mismatch"`
}

// PolicyInEffect is what a connection may do, and why.
type PolicyInEffect struct {
	Connection Policy        `json:"connection" doc:"What its own settings say."`
	Agents     []AgentPolicy `json:"agents" nullable:"false" doc:"What its agents say, those that are not revoked and ever connected."`
	Effective  Policy        `json:"effective" doc:"A switch that is on for any of them is on: no agent loosens anything."`
}

// AgentPolicy is what an agent reported.
type AgentPolicy struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Policy Policy `json:"policy"`
}

// Agents goes through the agents, those of a connection where it is not "".
func (c *Client) Agents(ctx context.Context, connection string) iter.Seq2[Agent, error] {
	return each[Agent](ctx, c, "/agents", query("connection", connection))
}

// Agent gives an agent.
func (c *Client) Agent(ctx context.Context, id string) (Agent, error) {
	return Get[Agent](ctx, c, "/agents/"+part(id), nil)
}

// CreateAgent makes an agent and gives its secret, this once.
func (c *Client) CreateAgent(ctx context.Context, in AgentInput) (NewAgent, error) {
	return Send[NewAgent](ctx, c, http.MethodPost, "/agents", nil, in)
}

// RotateAgentSecret makes another secret and gives it.
func (c *Client) RotateAgentSecret(ctx context.Context, id string, in AgentRotateInput) (NewAgent, error) {
	return Send[NewAgent](ctx, c, http.MethodPost, "/agents/"+part(id)+"/secret", nil, in)
}

// RevokeAgent ends an agent for good, and its connection at once.
func (c *Client) RevokeAgent(ctx context.Context, id string) (Agent, error) {
	return Send[Agent](ctx, c, http.MethodDelete, "/agents/"+part(id), nil, nil)
}

// ForgetAgent takes a revoked agent off the list. Once a connection has none left on it,
// the server reads its directory itself.
func (c *Client) ForgetAgent(ctx context.Context, id string) (Agent, error) {
	return Send[Agent](ctx, c, http.MethodPost, "/agents/"+part(id)+"/forget", nil, nil)
}

// PolicyOf gives what a connection may do, with what its agents say.
func (c *Client) PolicyOf(ctx context.Context, alias string) (PolicyInEffect, error) {
	return Get[PolicyInEffect](ctx, c, "/connections/"+part(alias)+"/policy", nil)
}
