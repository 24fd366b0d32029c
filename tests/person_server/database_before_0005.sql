-- A database as aauthkit made it at commit bd1f25d, with rows in every table, written by that code: what an earlier
-- version leaves behind. Codes, handles, tickets and sessions are hashes; there is no key in it.
BEGIN TRANSACTION;
CREATE TABLE ap_agent_callbacks (
	agent_id TEXT NOT NULL, 
	origin TEXT NOT NULL, 
	PRIMARY KEY (agent_id, origin), 
	FOREIGN KEY(agent_id) REFERENCES ap_agents (agent_id)
);
INSERT INTO "ap_agent_callbacks" VALUES('aauth:cb08f0e3-b6aa-46cc-8774-b0dd81ccd719@agent-server.example','http://127.0.0.1');
CREATE TABLE ap_agent_resources (
	agent_id TEXT NOT NULL, 
	resource TEXT NOT NULL, 
	PRIMARY KEY (agent_id, resource), 
	FOREIGN KEY(agent_id) REFERENCES ap_agents (agent_id)
);
INSERT INTO "ap_agent_resources" VALUES('aauth:cb08f0e3-b6aa-46cc-8774-b0dd81ccd719@agent-server.example','http://orders.localhost:3100');
CREATE TABLE ap_agent_tokens (
	jti TEXT NOT NULL, 
	agent_id TEXT NOT NULL, 
	agent TEXT NOT NULL, 
	person_server TEXT NOT NULL, 
	expires_at DOUBLE NOT NULL, 
	PRIMARY KEY (jti), 
	FOREIGN KEY(agent_id) REFERENCES ap_agents (agent_id)
);
INSERT INTO "ap_agent_tokens" VALUES('3KF7DBuEwkditH48yfyrMg','aauth:be2e6e05-0c7a-4dc6-b2e0-f03d71c75306@agent-server.example','aauth:be2e6e05-0c7a-4dc6-b2e0-f03d71c75306@agent-server.example','http://127.0.0.1:8765',1795386400.0);
INSERT INTO "ap_agent_tokens" VALUES('f8WMX7ZydkWC-Y9MUNs7Sg','aauth:2e7025fb-8556-4f4e-808c-b32fa00e884f@agent-server.example','aauth:2e7025fb-8556-4f4e-808c-b32fa00e884f@agent-server.example','http://127.0.0.1:8765',1795386400.0);
INSERT INTO "ap_agent_tokens" VALUES('TmEYFlxtvV1X14vJTEVAHA','aauth:9e03364f-66f8-467c-be2c-3e62d93d4c97@agent-server.example','aauth:9e03364f-66f8-467c-be2c-3e62d93d4c97@agent-server.example','http://127.0.0.1:8765',1795386400.0);
INSERT INTO "ap_agent_tokens" VALUES('eMACNVZWQFokhJdqP1WbIg','aauth:cb08f0e3-b6aa-46cc-8774-b0dd81ccd719@agent-server.example','aauth:cb08f0e3-b6aa-46cc-8774-b0dd81ccd719@agent-server.example','http://127.0.0.1:8765',1795386400.0);
CREATE TABLE ap_agents (
	agent_id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	stable_jkt TEXT NOT NULL, 
	person_id TEXT NOT NULL, 
	created_at DOUBLE NOT NULL, 
	revoked_at DOUBLE, 
	PRIMARY KEY (agent_id), 
	UNIQUE (stable_jkt)
);
INSERT INTO "ap_agents" VALUES('aauth:be2e6e05-0c7a-4dc6-b2e0-f03d71c75306@agent-server.example','backend','ZBQIgwWskUkqiwEf3waTM_v2lkY4YH1RIqm6XTx_an0','999e9bc9bd900e3c0a662856d0d45eea',1795300000.0,NULL);
INSERT INTO "ap_agents" VALUES('aauth:2e7025fb-8556-4f4e-808c-b32fa00e884f@agent-server.example','talker','MfT0b83R4mDEyLxn0c_BZO0q2Uqn0V7ZjFjFFszj7rQ','999e9bc9bd900e3c0a662856d0d45eea',1795300000.0,NULL);
INSERT INTO "ap_agents" VALUES('aauth:9e03364f-66f8-467c-be2c-3e62d93d4c97@agent-server.example','gone','2TYNiv3E918lE-WZeHVVbxLhCBJH0oD2hIjfk4DODmU','999e9bc9bd900e3c0a662856d0d45eea',1795300000.0,1795300000.0);
INSERT INTO "ap_agents" VALUES('aauth:cb08f0e3-b6aa-46cc-8774-b0dd81ccd719@agent-server.example','backend','VuYRoLWE-mNsYLjNvcwPcTLaRlAbOBiU96vn1yhO3LM','999e9bc9bd900e3c0a662856d0d45eea',1795300000.0,NULL);
CREATE TABLE ap_registrations (
	id TEXT NOT NULL, 
	handle_hash TEXT NOT NULL, 
	agent_name TEXT NOT NULL, 
	stable_jkt TEXT NOT NULL, 
	draft TEXT NOT NULL, 
	status TEXT NOT NULL, 
	created_at DOUBLE NOT NULL, 
	expires_at DOUBLE NOT NULL, 
	decided_at DOUBLE, 
	decided_by TEXT, 
	PRIMARY KEY (id), 
	UNIQUE (handle_hash)
);
INSERT INTO "ap_registrations" VALUES('55032f3a03653a9365c645af0a0e4b55','62c1ce755ae85e5bfe1df9d5eff5253ddfb797c35a26cbda3b519e4250a4b61a','waits','g9Tqn2Q6zy_JOXXsmHRu31T8r-_wIs2sOLqRWaGDtdM','01','pending',1795300000.0,1795301800.0,NULL,NULL);
CREATE TABLE ap_schema_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT ap_schema_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "ap_schema_version" VALUES('0002');
CREATE TABLE ap_tickets (
	ticket_hash TEXT NOT NULL, 
	person_id TEXT NOT NULL, 
	resources TEXT NOT NULL, 
	callbacks TEXT NOT NULL, 
	created_at DOUBLE NOT NULL, 
	expires_at DOUBLE NOT NULL, 
	used_at DOUBLE, 
	used_by TEXT, 
	PRIMARY KEY (ticket_hash)
);
INSERT INTO "ap_tickets" VALUES('46a23693bfa324cceaea97e6e5ba5b3ff7f403cdd88d0426bd1761072e0a04ae','999e9bc9bd900e3c0a662856d0d45eea','[]','[]',1795300000.0,1795303600.0,1795300000.0,'ZBQIgwWskUkqiwEf3waTM_v2lkY4YH1RIqm6XTx_an0');
INSERT INTO "ap_tickets" VALUES('d2306dfb9aa11dbe486119ef6d849659deae03fb40ff27f6d364ded365f6ac94','999e9bc9bd900e3c0a662856d0d45eea','[]','[]',1795300000.0,1795303600.0,1795300000.0,'MfT0b83R4mDEyLxn0c_BZO0q2Uqn0V7ZjFjFFszj7rQ');
INSERT INTO "ap_tickets" VALUES('002dd901a1b2a7076073017327030bda984d69aa6af85c50155e15c7d9e2d53e','999e9bc9bd900e3c0a662856d0d45eea','[]','[]',1795300000.0,1795303600.0,1795300000.0,'2TYNiv3E918lE-WZeHVVbxLhCBJH0oD2hIjfk4DODmU');
INSERT INTO "ap_tickets" VALUES('60d898712693276968387566740e4dbefb70e8d7d762ca5bae1038599f230796','999e9bc9bd900e3c0a662856d0d45eea','["http://orders.localhost:3100"]','["http://127.0.0.1"]',1795300000.0,1795303600.0,NULL,NULL);
INSERT INTO "ap_tickets" VALUES('3b08bce97761e7e7a2f06756e092e5cf5a195226bd11cb2e91e1382549f8c581','999e9bc9bd900e3c0a662856d0d45eea','["http://orders.localhost:3100"]','["http://127.0.0.1"]',1795300000.0,1795303600.0,1795300000.0,'VuYRoLWE-mNsYLjNvcwPcTLaRlAbOBiU96vn1yhO3LM');
CREATE TABLE ps_agent_tokens (
	issuer TEXT NOT NULL, 
	jti TEXT NOT NULL, 
	agent TEXT NOT NULL, 
	parent_agent TEXT, 
	accepted_at DOUBLE NOT NULL, 
	expires_at DOUBLE NOT NULL, 
	PRIMARY KEY (issuer, jti)
);
INSERT INTO "ps_agent_tokens" VALUES('http://127.0.0.1:8765','3KF7DBuEwkditH48yfyrMg','aauth:be2e6e05-0c7a-4dc6-b2e0-f03d71c75306@agent-server.example',NULL,1795300000.0,1795386400.0);
INSERT INTO "ps_agent_tokens" VALUES('http://127.0.0.1:8765','f8WMX7ZydkWC-Y9MUNs7Sg','aauth:2e7025fb-8556-4f4e-808c-b32fa00e884f@agent-server.example',NULL,1795300000.0,1795386400.0);
INSERT INTO "ps_agent_tokens" VALUES('http://127.0.0.1:8765','TmEYFlxtvV1X14vJTEVAHA','aauth:9e03364f-66f8-467c-be2c-3e62d93d4c97@agent-server.example',NULL,1795300000.0,1795386400.0);
CREATE TABLE ps_asked_resources (
	agent_issuer TEXT NOT NULL, 
	agent TEXT NOT NULL, 
	resource TEXT NOT NULL, 
	asked_at DOUBLE NOT NULL, 
	PRIMARY KEY (agent_issuer, agent, resource)
);
INSERT INTO "ps_asked_resources" VALUES('http://127.0.0.1:8765','aauth:2e7025fb-8556-4f4e-808c-b32fa00e884f@agent-server.example','http://orders.localhost:3100',1795300000.0);
INSERT INTO "ps_asked_resources" VALUES('http://127.0.0.1:8765','aauth:9e03364f-66f8-467c-be2c-3e62d93d4c97@agent-server.example','http://market.localhost:3200',1795300000.0);
CREATE TABLE ps_cascade_deliveries (
	cascade_id TEXT NOT NULL, 
	recipient TEXT NOT NULL, 
	jti TEXT NOT NULL, 
	PRIMARY KEY (cascade_id, recipient, jti), 
	FOREIGN KEY(cascade_id) REFERENCES ps_cascades (id)
);
INSERT INTO "ps_cascade_deliveries" VALUES('9b8f362e075fed24530680e16f684b81','http://market.localhost:3200','qmkppJm1q1pu27u1FQF1cg');
INSERT INTO "ps_cascade_deliveries" VALUES('9b8f362e075fed24530680e16f684b81','http://market.localhost:3200','wJ27pefwNuX9Pxof4n9U8A');
CREATE TABLE ps_cascades (
	id TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	issuer TEXT NOT NULL, 
	subject TEXT NOT NULL, 
	handle_hash TEXT NOT NULL, 
	person_id TEXT, 
	started_at DOUBLE NOT NULL, 
	expires_at DOUBLE NOT NULL, 
	collected_at DOUBLE, 
	PRIMARY KEY (id), 
	UNIQUE (handle_hash)
);
INSERT INTO "ps_cascades" VALUES('9b8f362e075fed24530680e16f684b81','agent','http://127.0.0.1:8765','aauth:9e03364f-66f8-467c-be2c-3e62d93d4c97@agent-server.example','78e0cfcd0793f6e0fc0f8e6e7470c3201f77668e1514d268ba03d9936be473b1','999e9bc9bd900e3c0a662856d0d45eea',1795300000.0,1795303600.0,NULL);
CREATE TABLE ps_clarifications (
	pending_id TEXT NOT NULL, 
	round INTEGER NOT NULL, 
	question TEXT NOT NULL, 
	options TEXT NOT NULL, 
	asked_at DOUBLE NOT NULL, 
	answer_by DOUBLE NOT NULL, 
	answer TEXT, 
	answered_at DOUBLE, 
	replaced_scope TEXT, 
	PRIMARY KEY (pending_id, round), 
	FOREIGN KEY(pending_id) REFERENCES ps_pending (id)
);
INSERT INTO "ps_clarifications" VALUES('5b948083d15ceb8d5bf842ac185a7509',1,'Why?','[]',1795300000.0,1795300120.0,NULL,NULL,NULL);
CREATE TABLE ps_consent_rules (
	person_id TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	value TEXT NOT NULL, 
	required BOOLEAN NOT NULL, 
	origin TEXT NOT NULL, 
	PRIMARY KEY (person_id, kind, value)
);
INSERT INTO "ps_consent_rules" VALUES('','exact','a:write',1,'configuration');
INSERT INTO "ps_consent_rules" VALUES('','prefix','email.',1,'configuration');
INSERT INTO "ps_consent_rules" VALUES('','prefix','profile.',1,'configuration');
INSERT INTO "ps_consent_rules" VALUES('','prefix','user.',1,'configuration');
INSERT INTO "ps_consent_rules" VALUES('','resource','any',0,'configuration');
INSERT INTO "ps_consent_rules" VALUES('999e9bc9bd900e3c0a662856d0d45eea','exact','x:y',1,'made');
CREATE TABLE ps_consents (
	id TEXT NOT NULL, 
	person_id TEXT NOT NULL, 
	agent_issuer TEXT NOT NULL, 
	agent TEXT NOT NULL, 
	resource TEXT NOT NULL, 
	scope TEXT NOT NULL, 
	via TEXT NOT NULL, 
	single_use BOOLEAN NOT NULL, 
	granted_at DOUBLE NOT NULL, 
	expires_at DOUBLE NOT NULL, account TEXT DEFAULT '' NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(person_id) REFERENCES ps_persons (id)
);
INSERT INTO "ps_consents" VALUES('cb8a328a4c6a66aeb1361c00e09c6bc7','999e9bc9bd900e3c0a662856d0d45eea','http://127.0.0.1:8765','aauth:be2e6e05-0c7a-4dc6-b2e0-f03d71c75306@agent-server.example','http://resource.localhost:3000','a:write','',0,1795300000.0,1795386400.0,'');
CREATE TABLE ps_deliveries (
	recipient TEXT NOT NULL, 
	jti TEXT NOT NULL, 
	expires_at DOUBLE NOT NULL, 
	state TEXT NOT NULL, 
	attempts INTEGER NOT NULL, 
	asked_at DOUBLE NOT NULL, 
	tried_at DOUBLE, 
	next_at DOUBLE NOT NULL, 
	lease TEXT, 
	leased_until DOUBLE NOT NULL, 
	PRIMARY KEY (recipient, jti)
);
INSERT INTO "ps_deliveries" VALUES('http://market.localhost:3200','qmkppJm1q1pu27u1FQF1cg',1795303600.0,'unsupported',1,1795300000.0,1795300000.0,1795300000.0,NULL,0.0);
INSERT INTO "ps_deliveries" VALUES('http://market.localhost:3200','wJ27pefwNuX9Pxof4n9U8A',1795303600.0,'unsupported',1,1795300000.0,1795300000.0,1795300000.0,NULL,0.0);
CREATE TABLE ps_directed_subjects (
	person_id TEXT NOT NULL, 
	resource TEXT NOT NULL, 
	sub TEXT NOT NULL, 
	PRIMARY KEY (person_id, resource), 
	FOREIGN KEY(person_id) REFERENCES ps_persons (id), 
	UNIQUE (sub)
);
INSERT INTO "ps_directed_subjects" VALUES('999e9bc9bd900e3c0a662856d0d45eea','http://orders.localhost:3100','mDX3F4fJXzQ5zxLvHER57_0ehcO3nW4q');
INSERT INTO "ps_directed_subjects" VALUES('999e9bc9bd900e3c0a662856d0d45eea','http://market.localhost:3200','SQAYfBHphmMp72Pbz_mIdTlIsEDFnt9B');
CREATE TABLE ps_inbox (
	id TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	open_key TEXT, 
	handle_hash TEXT NOT NULL, 
	code_hash TEXT NOT NULL, 
	state TEXT NOT NULL, 
	person_id TEXT NOT NULL, 
	agent_issuer TEXT NOT NULL, 
	agent TEXT NOT NULL, 
	agent_name TEXT NOT NULL, 
	subject TEXT NOT NULL, 
	description TEXT NOT NULL, 
	parameters TEXT NOT NULL, 
	url TEXT, 
	relayed_code TEXT, 
	pending_id TEXT, 
	created_at DOUBLE NOT NULL, 
	expires_at DOUBLE NOT NULL, 
	engaged_at DOUBLE, 
	told_at DOUBLE, 
	outcome TEXT, 
	decided_at DOUBLE, 
	decided_by TEXT, 
	answer_text TEXT, 
	delivered_at DOUBLE, 
	polled_at DOUBLE, 
	PRIMARY KEY (id), 
	UNIQUE (open_key), 
	UNIQUE (handle_hash), 
	UNIQUE (code_hash), 
	FOREIGN KEY(person_id) REFERENCES ps_persons (id)
);
INSERT INTO "ps_inbox" VALUES('2e47bf689522578cd7bd5de15ed08160','permission',NULL,'8ed3cf55e83aadaa4fcce3ce0062aacf043029b09aa373307ae4fd2da23d4a8b','651e240364f520e71a62c10a96ea44aa711a4f04410186f2de83657302d47ed2','approved','999e9bc9bd900e3c0a662856d0d45eea','http://127.0.0.1:8765','aauth:2e7025fb-8556-4f4e-808c-b32fa00e884f@agent-server.example','talker','SendEmail','x','',NULL,NULL,NULL,1795300000.0,1795300600.0,NULL,NULL,'approved',1795300000.0,'999e9bc9bd900e3c0a662856d0d45eea',NULL,NULL,NULL);
CREATE TABLE ps_issued_tokens (
	jti TEXT NOT NULL, 
	agent_issuer TEXT NOT NULL, 
	agent TEXT NOT NULL, 
	agent_jkt TEXT NOT NULL, 
	person_id TEXT NOT NULL, 
	resource TEXT NOT NULL, 
	scope TEXT NOT NULL, 
	act TEXT NOT NULL, 
	sub TEXT, 
	upstream_jti TEXT, 
	draft TEXT NOT NULL, 
	issued_at DOUBLE NOT NULL, 
	expires_at DOUBLE NOT NULL, agent_token_jti TEXT, subagent TEXT, presented_jti TEXT, upstream_issuer TEXT, account TEXT, 
	PRIMARY KEY (jti), 
	FOREIGN KEY(person_id) REFERENCES ps_persons (id)
);
INSERT INTO "ps_issued_tokens" VALUES('JSsiJor7Tw_IISg0FWDraw','http://127.0.0.1:8765','aauth:be2e6e05-0c7a-4dc6-b2e0-f03d71c75306@agent-server.example','GYyTyhPKYzh3Zds9zzhyjMUllgesp9hV13_7pQa0hmw','999e9bc9bd900e3c0a662856d0d45eea','http://resource.localhost:3000','a:read','{"sub": "aauth:be2e6e05-0c7a-4dc6-b2e0-f03d71c75306@agent-server.example"}',NULL,NULL,'01',1795300000.0,1795303600.0,'3KF7DBuEwkditH48yfyrMg',NULL,NULL,NULL,NULL);
INSERT INTO "ps_issued_tokens" VALUES('t_21QsLRESKNRFemNSoS3Q','http://127.0.0.1:8765','aauth:2e7025fb-8556-4f4e-808c-b32fa00e884f@agent-server.example','6xhbjzT_NxDf5-R7Zro3T-6MaMUcCnNA8U_rfQVFp4A','999e9bc9bd900e3c0a662856d0d45eea','http://orders.localhost:3100','a:read','{}','mDX3F4fJXzQ5zxLvHER57_0ehcO3nW4q',NULL,'11',1795300000.0,1795303600.0,'f8WMX7ZydkWC-Y9MUNs7Sg',NULL,'9N0EO8qxFtWc8Eb9Bemvxw',NULL,NULL);
INSERT INTO "ps_issued_tokens" VALUES('wJ27pefwNuX9Pxof4n9U8A','http://127.0.0.1:8765','aauth:9e03364f-66f8-467c-be2c-3e62d93d4c97@agent-server.example','rTQvLWumZ6C-N42zBjgExy8A3ZIv-zNMTJVq1Lkgk4I','999e9bc9bd900e3c0a662856d0d45eea','http://market.localhost:3200','a:read','{}','SQAYfBHphmMp72Pbz_mIdTlIsEDFnt9B',NULL,'11',1795300000.0,1795303600.0,'TmEYFlxtvV1X14vJTEVAHA',NULL,'qmkppJm1q1pu27u1FQF1cg',NULL,NULL);
CREATE TABLE ps_logins (
	state_hash TEXT NOT NULL, 
	return_to TEXT NOT NULL, 
	expires_at DOUBLE NOT NULL, 
	PRIMARY KEY (state_hash)
);
INSERT INTO "ps_logins" VALUES('dbcb973f8ea8d476d41aa33a2600c9961a882eb015b461ab792628a422d45f87','/ui/',1795300600.0);
CREATE TABLE ps_pending (
	id TEXT NOT NULL, 
	request_key TEXT NOT NULL, 
	handle_hash TEXT NOT NULL, 
	code_hash TEXT NOT NULL, 
	state TEXT NOT NULL, 
	person_id TEXT NOT NULL, 
	agent_issuer TEXT NOT NULL, 
	agent TEXT NOT NULL, 
	agent_name TEXT NOT NULL, 
	agent_jkt TEXT NOT NULL, 
	resource TEXT NOT NULL, 
	resource_name TEXT NOT NULL, 
	scope TEXT NOT NULL, 
	asked_scope TEXT NOT NULL, 
	scope_descriptions TEXT NOT NULL, 
	justification TEXT NOT NULL, 
	via TEXT NOT NULL, 
	upstream TEXT, 
	draft TEXT NOT NULL, 
	resource_token_expires_at DOUBLE NOT NULL, 
	created_at DOUBLE NOT NULL, 
	expires_at DOUBLE NOT NULL, 
	arrived_at DOUBLE, 
	outcome TEXT, 
	decided_at DOUBLE, 
	decided_by TEXT, 
	answer_text TEXT, 
	delivered_at DOUBLE, 
	polled_at DOUBLE, kind TEXT DEFAULT 'auth' NOT NULL, principal TEXT DEFAULT '' NOT NULL, resource_token_jti TEXT, agent_token_jti TEXT, upstream_issuer TEXT, upstream_jti TEXT, presented TEXT, subagent TEXT, account TEXT, prompt TEXT DEFAULT '' NOT NULL, capabilities TEXT DEFAULT '[]' NOT NULL, resource_words TEXT DEFAULT '{}' NOT NULL, agent_words TEXT DEFAULT '{}' NOT NULL, resource_interaction TEXT, ended_by TEXT, 
	PRIMARY KEY (id), 
	UNIQUE (request_key), 
	UNIQUE (handle_hash), 
	UNIQUE (code_hash), 
	FOREIGN KEY(person_id) REFERENCES ps_persons (id)
);
INSERT INTO "ps_pending" VALUES('548d507110a9a2f1ce4f1a1a20548a2a','5fe2cabdd69e73b5c4934492dc4579304dff7b15a651cb6b83a80d7a79ea9bc6','e802ad2a5223a44751ea269461a8fc22811f87e6912fcc1f9fda6494c51fba48','dfdb41472d3a07abf077a2c919389b8c057028dfab2c7cd3b86eb92cd4614f66','approved','999e9bc9bd900e3c0a662856d0d45eea','http://127.0.0.1:8765','aauth:be2e6e05-0c7a-4dc6-b2e0-f03d71c75306@agent-server.example','backend','GYyTyhPKYzh3Zds9zzhyjMUllgesp9hV13_7pQa0hmw','http://resource.localhost:3000','A resource <b>','a:write','a:write','{"a:write": "Write"}','','',NULL,'01',1795300300.0,1795300000.0,1795300600.0,1795300000.0,'approved',1795300000.0,'999e9bc9bd900e3c0a662856d0d45eea',NULL,NULL,NULL,'auth','aauth:be2e6e05-0c7a-4dc6-b2e0-f03d71c75306@agent-server.example','4PmdAjCJ_v_eQorlBpVL6A','3KF7DBuEwkditH48yfyrMg',NULL,NULL,NULL,NULL,NULL,'','[]','{"published": true, "description": "", "access_mode": "", "logo_uri": ""}','{"platform": "", "device": "", "login_hint": "", "tenant": "", "domain_hint": ""}',NULL,NULL);
INSERT INTO "ps_pending" VALUES('8584f10c65301be35e375dc86e463dae','c8ad143ce1a4acd1704fdf13733aaec3e05f470c12944bf659cd2a52bb37861f','195ce8368e2d869a01cd70581d836ae0768508af3e4633dddb0afafb58adf382','baf3ad2a23a294ea2be6016315ed560c26c2277a07f5986d181f04f28de2e5f8','denied','999e9bc9bd900e3c0a662856d0d45eea','http://127.0.0.1:8765','aauth:be2e6e05-0c7a-4dc6-b2e0-f03d71c75306@agent-server.example','backend','GYyTyhPKYzh3Zds9zzhyjMUllgesp9hV13_7pQa0hmw','http://resource.localhost:3000','A resource <b>','user.mail','user.mail','{"user.mail": "Mail"}','','',NULL,'01',1795300300.0,1795300000.0,1795300600.0,1795300000.0,'denied',1795300000.0,'999e9bc9bd900e3c0a662856d0d45eea',NULL,NULL,NULL,'auth','aauth:be2e6e05-0c7a-4dc6-b2e0-f03d71c75306@agent-server.example','s4Pp00WSjQgagDXhyTFlmw','3KF7DBuEwkditH48yfyrMg',NULL,NULL,NULL,NULL,NULL,'','[]','{"published": true, "description": "", "access_mode": "", "logo_uri": ""}','{"platform": "", "device": "", "login_hint": "", "tenant": "", "domain_hint": ""}',NULL,NULL);
INSERT INTO "ps_pending" VALUES('4b97f4c42882d697e1576c8a142ca5a4','29d94dbb0a818c3d92b1089bcb0efd76ddb7c994f374f54157a3ea7ac7b9cac8','cca1783c7914e2007be815a46e5aa478b47c53cc5bc92a3c172db18e2b3ebe7b','80aac45486e136d5cfa2919a4a191fc4440cdadec6cda7b351e28fb6902b0397','waiting','999e9bc9bd900e3c0a662856d0d45eea','http://127.0.0.1:8765','aauth:be2e6e05-0c7a-4dc6-b2e0-f03d71c75306@agent-server.example','backend','GYyTyhPKYzh3Zds9zzhyjMUllgesp9hV13_7pQa0hmw','http://resource.localhost:3000','A resource <b>','require:user','require:user','{"require:user": "Needs you"}','','',NULL,'01',1795300300.0,1795300000.0,1795300600.0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'auth','aauth:be2e6e05-0c7a-4dc6-b2e0-f03d71c75306@agent-server.example','LewzfIhsc8QgxOh_JnImbg','3KF7DBuEwkditH48yfyrMg',NULL,NULL,NULL,NULL,NULL,'','[]','{"published": true, "description": "", "access_mode": "", "logo_uri": ""}','{"platform": "", "device": "", "login_hint": "", "tenant": "", "domain_hint": ""}',NULL,NULL);
INSERT INTO "ps_pending" VALUES('5b948083d15ceb8d5bf842ac185a7509','dd9b43ba1b0a0c1b939b779cc6a908677c9db06e29c18797f4bf01ad4534b31c','bfbfb87bad10dabe2a5e18d7417dad05a360d525f2894b2fef0755907d64e11a','ae7bafab425b1eda9f865ca0edc19f82bacf98df2fca8579f54c4722ce53ae14','clarifying','999e9bc9bd900e3c0a662856d0d45eea','http://127.0.0.1:8765','aauth:2e7025fb-8556-4f4e-808c-b32fa00e884f@agent-server.example','talker','6xhbjzT_NxDf5-R7Zro3T-6MaMUcCnNA8U_rfQVFp4A','http://orders.localhost:3100','A resource <b>','a:write','a:write','{"a:write": "Write"}','','',NULL,'11',1795300300.0,1795300000.0,1795300120.0,1795300000.0,NULL,NULL,NULL,NULL,NULL,NULL,'auth','aauth:2e7025fb-8556-4f4e-808c-b32fa00e884f@agent-server.example','rt-582-U7LFod_pfIP_AxcZbGu30A','f8WMX7ZydkWC-Y9MUNs7Sg',NULL,NULL,'{"jti": "U7LFod_pfIP_AxcZbGu30A", "sub": "mDX3F4fJXzQ5zxLvHER57_0ehcO3nW4q", "expires_at": 1795303600}',NULL,NULL,'','["clarification", "interaction"]','{"published": true, "description": "Keeps **things**\nfor you", "access_mode": "auth-token", "logo_uri": "https://resource.example/logo.png"}','{"platform": "", "device": "", "login_hint": "", "tenant": "", "domain_hint": ""}',NULL,NULL);
CREATE TABLE ps_permission_rules (
	person_id TEXT NOT NULL, 
	agent_issuer TEXT NOT NULL, 
	agent TEXT NOT NULL, 
	action TEXT NOT NULL, 
	granted BOOLEAN NOT NULL, 
	made_at DOUBLE NOT NULL, 
	PRIMARY KEY (person_id, agent_issuer, agent, action), 
	FOREIGN KEY(person_id) REFERENCES ps_persons (id)
);
INSERT INTO "ps_permission_rules" VALUES('999e9bc9bd900e3c0a662856d0d45eea','http://127.0.0.1:8765','aauth:2e7025fb-8556-4f4e-808c-b32fa00e884f@agent-server.example','SendEmail',1,1795300000.0);
CREATE TABLE ps_person_tokens (
	jti TEXT NOT NULL, 
	agent_issuer TEXT NOT NULL, 
	agent TEXT NOT NULL, 
	agent_token_jti TEXT NOT NULL, 
	subagent TEXT, 
	agent_jkt TEXT NOT NULL, 
	person_id TEXT NOT NULL, 
	resource TEXT NOT NULL, 
	sub TEXT NOT NULL, 
	upstream_issuer TEXT, 
	upstream_jti TEXT, 
	issued_at DOUBLE NOT NULL, 
	expires_at DOUBLE NOT NULL, 
	PRIMARY KEY (jti), 
	FOREIGN KEY(person_id) REFERENCES ps_persons (id)
);
INSERT INTO "ps_person_tokens" VALUES('9N0EO8qxFtWc8Eb9Bemvxw','http://127.0.0.1:8765','aauth:2e7025fb-8556-4f4e-808c-b32fa00e884f@agent-server.example','f8WMX7ZydkWC-Y9MUNs7Sg',NULL,'6xhbjzT_NxDf5-R7Zro3T-6MaMUcCnNA8U_rfQVFp4A','999e9bc9bd900e3c0a662856d0d45eea','http://orders.localhost:3100','mDX3F4fJXzQ5zxLvHER57_0ehcO3nW4q',NULL,NULL,1795300000.0,1795303600.0);
INSERT INTO "ps_person_tokens" VALUES('U7LFod_pfIP_AxcZbGu30A','http://127.0.0.1:8765','aauth:2e7025fb-8556-4f4e-808c-b32fa00e884f@agent-server.example','f8WMX7ZydkWC-Y9MUNs7Sg',NULL,'6xhbjzT_NxDf5-R7Zro3T-6MaMUcCnNA8U_rfQVFp4A','999e9bc9bd900e3c0a662856d0d45eea','http://orders.localhost:3100','mDX3F4fJXzQ5zxLvHER57_0ehcO3nW4q',NULL,NULL,1795300000.0,1795303600.0);
INSERT INTO "ps_person_tokens" VALUES('qmkppJm1q1pu27u1FQF1cg','http://127.0.0.1:8765','aauth:9e03364f-66f8-467c-be2c-3e62d93d4c97@agent-server.example','TmEYFlxtvV1X14vJTEVAHA',NULL,'rTQvLWumZ6C-N42zBjgExy8A3ZIv-zNMTJVq1Lkgk4I','999e9bc9bd900e3c0a662856d0d45eea','http://market.localhost:3200','SQAYfBHphmMp72Pbz_mIdTlIsEDFnt9B',NULL,NULL,1795300000.0,1795303600.0);
CREATE TABLE ps_persons (
	id TEXT NOT NULL, 
	issuer TEXT NOT NULL, 
	subject TEXT, 
	username TEXT NOT NULL, 
	email TEXT, 
	created_at DOUBLE NOT NULL, 
	claimed_at DOUBLE, 
	PRIMARY KEY (id)
);
INSERT INTO "ps_persons" VALUES('999e9bc9bd900e3c0a662856d0d45eea','http://idp.localhost:8080/realms/aauth-test','subject-of-mcp-user','mcp-user',NULL,1795300000.0,1795300000.0);
CREATE TABLE ps_revocations (
	issuer TEXT NOT NULL, 
	jti TEXT NOT NULL, 
	recorded_at DOUBLE NOT NULL, 
	expires_at DOUBLE NOT NULL, 
	PRIMARY KEY (issuer, jti)
);
INSERT INTO "ps_revocations" VALUES('http://127.0.0.1:8765','qmkppJm1q1pu27u1FQF1cg',1795300000.0,1795303600.0);
INSERT INTO "ps_revocations" VALUES('http://127.0.0.1:8765','wJ27pefwNuX9Pxof4n9U8A',1795300000.0,1795303600.0);
CREATE TABLE ps_revoked_agents (
	agent_issuer TEXT NOT NULL, 
	agent TEXT NOT NULL, 
	revoked_at DOUBLE NOT NULL, 
	PRIMARY KEY (agent_issuer, agent)
);
INSERT INTO "ps_revoked_agents" VALUES('http://127.0.0.1:8765','aauth:9e03364f-66f8-467c-be2c-3e62d93d4c97@agent-server.example',1795300000.0);
CREATE TABLE ps_schema_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT ps_schema_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "ps_schema_version" VALUES('0004');
CREATE TABLE ps_sessions (
	token_hash TEXT NOT NULL, 
	person_id TEXT NOT NULL, 
	created_at DOUBLE NOT NULL, 
	expires_at DOUBLE NOT NULL, 
	PRIMARY KEY (token_hash), 
	FOREIGN KEY(person_id) REFERENCES ps_persons (id)
);
INSERT INTO "ps_sessions" VALUES('508ae96f7480fff27c278724a8b0a00492832b103f94af866c89808c7630ddde','999e9bc9bd900e3c0a662856d0d45eea',1795300000.0,1795328800.0);
CREATE TABLE ps_used_codes (
	code_hash TEXT NOT NULL, 
	used_at DOUBLE NOT NULL, 
	PRIMARY KEY (code_hash)
);
INSERT INTO "ps_used_codes" VALUES('dfdb41472d3a07abf077a2c919389b8c057028dfab2c7cd3b86eb92cd4614f66',1795300000.0);
INSERT INTO "ps_used_codes" VALUES('baf3ad2a23a294ea2be6016315ed560c26c2277a07f5986d181f04f28de2e5f8',1795300000.0);
INSERT INTO "ps_used_codes" VALUES('ae7bafab425b1eda9f865ca0edc19f82bacf98df2fca8579f54c4722ce53ae14',1795300000.0);
CREATE TABLE ps_wrong_codes (
	id TEXT NOT NULL, 
	who TEXT NOT NULL, 
	at DOUBLE NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "ps_wrong_codes" VALUES('f77fd0beebb730b45f1ee3c1a7538fd6','999e9bc9bd900e3c0a662856d0d45eea',1795300000.0);
CREATE INDEX ix_ap_agents_person_id ON ap_agents (person_id);
CREATE INDEX ix_ap_registrations_stable_jkt ON ap_registrations (stable_jkt);
CREATE INDEX ix_ap_agent_tokens_agent_id ON ap_agent_tokens (agent_id);
CREATE UNIQUE INDEX uq_ps_persons_placeholder ON ps_persons (issuer, username) WHERE subject IS NULL;
CREATE UNIQUE INDEX uq_ps_persons_subject ON ps_persons (issuer, subject);
CREATE INDEX ix_ps_wrong_codes_who ON ps_wrong_codes (who);
CREATE INDEX ix_ps_issued_tokens_person_id ON ps_issued_tokens (person_id);
CREATE INDEX ix_ps_pending_person_id ON ps_pending (person_id);
CREATE INDEX ix_ps_issued_tokens_agent ON ps_issued_tokens (agent_issuer, agent);
CREATE INDEX ix_ps_issued_tokens_presented ON ps_issued_tokens (presented_jti);
CREATE UNIQUE INDEX uq_ps_consents ON ps_consents (person_id, agent_issuer, agent, resource, scope, via, account);
CREATE INDEX ix_ps_agent_tokens_agent ON ps_agent_tokens (issuer, agent);
CREATE INDEX ix_ps_person_tokens_person_id ON ps_person_tokens (person_id);
CREATE INDEX ix_ps_person_tokens_agent ON ps_person_tokens (agent_issuer, agent);
CREATE INDEX ix_ps_person_tokens_upstream ON ps_person_tokens (upstream_issuer, upstream_jti);
CREATE INDEX ix_ps_revocations_expires_at ON ps_revocations (expires_at);
CREATE UNIQUE INDEX uq_ps_cascades ON ps_cascades (kind, issuer, subject);
CREATE INDEX ix_ps_deliveries_due ON ps_deliveries (state, next_at);
CREATE INDEX ix_ps_inbox_person_id ON ps_inbox (person_id);
CREATE INDEX ix_ps_inbox_agent ON ps_inbox (agent_issuer, agent);
COMMIT;
