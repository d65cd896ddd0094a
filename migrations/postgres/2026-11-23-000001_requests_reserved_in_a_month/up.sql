CREATE TABLE request_budgets (
    registry TEXT COLLATE "C" NOT NULL,
    month TEXT COLLATE "C" NOT NULL,
    reserved BIGINT NOT NULL,
    PRIMARY KEY (registry, month)
);
