DROP TABLE stars;
DROP TABLE visibilities;
DROP TABLE grants;
DROP TABLE team_members;
DROP TABLE teams;
DROP TABLE org_members;
DROP TABLE orgs;
