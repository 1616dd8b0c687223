-- The bands of the plant, in degrees Celsius.
CREATE TABLE bands(name TEXT, low REAL, high REAL);
INSERT INTO bands
VALUES ('cold', -273.15, 15), ('fine', 15, 28), ('hot', 28, 1000);
