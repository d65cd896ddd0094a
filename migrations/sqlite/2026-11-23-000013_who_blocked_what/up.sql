-- Who withholds it, `name/id`; NULL where no person does.
ALTER TABLE blocks ADD COLUMN operator TEXT;
