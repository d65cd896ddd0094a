CREATE TABLE request_budgets (
    registry TEXT NOT NULL,
    month TEXT NOT NULL,
    reserved BIGINT NOT NULL,
    PRIMARY KEY (registry, month)
) WITHOUT ROWID;
